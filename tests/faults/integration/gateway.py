"""An HTTP server before an engine that sees bulks and may answer them itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.front import Answer, Front, ask, serving

JSON = "application/json"

OVERLOAD = {
    "type": "rejected_execution_exception",
    "reason": "rejected execution of coordinating operation",
}
TOO_MANY: Answer = (429, JSON, json.dumps({"error": OVERLOAD, "status": 429}).encode())


@dataclass
class BulkGateway:
    """What to do about bulks, and what came.

    :param answer: given the bulk's number (from 1), its path and body; ``None`` passes it on.
    """

    engine: str
    answer: Callable[[int, str, bytes], Answer | None] = lambda number, path, body: None
    url: str = ""
    documents: int = 0
    bulks: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take_half(self, path: str, body: bytes) -> Answer:
        """Index every second document; answer 429 for the others, item by item."""
        lines = body.splitlines(keepends=True)
        taken = b"".join(lines[n] + lines[n + 1] for n in range(0, len(lines), 4))
        status, _, data = ask(self.engine, "POST", path, taken, "application/x-ndjson")
        assert status == 200
        given = iter(json.loads(data)["items"])
        refused = {"index": {"status": 429, "error": OVERLOAD}}
        items: list[Any] = [refused if n % 2 else next(given) for n in range(len(lines) // 2)]
        return 200, JSON, json.dumps({"errors": True, "items": items}).encode()


@contextmanager
def before(engine: str) -> Iterator[BulkGateway]:
    """A gateway on a free port."""
    gateway = BulkGateway(engine)

    class Handler(Front):
        def respond(self) -> None:
            body = self.read_body()
            answer = None
            if "/_bulk" in self.path:
                with gateway.lock:
                    gateway.bulks += 1
                    number = gateway.bulks
                    gateway.documents += body.count(b"\n") // 2
                answer = gateway.answer(number, self.path, body)
            # Elasticsearch's own client library wants to hear it; others don't mind.
            product = {"x_elastic_product": "Elasticsearch"}
            self.reply(answer or self.pass_on(engine, body), **product)

    with serving(Handler) as gateway.url:
        yield gateway
