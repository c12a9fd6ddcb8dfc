"""An HTTP server before an engine that sees bulks and may answer them itself."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, bytes]

OVERLOAD = {
    "type": "rejected_execution_exception",
    "reason": "rejected execution of coordinating operation",
}
TOO_MANY = json.dumps({"error": OVERLOAD, "status": 429}).encode()


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

    def pass_on(self, method: str, path: str, body: bytes, kind: str) -> Answer:
        address = urlsplit(self.engine)
        upstream = http.client.HTTPConnection(address.hostname or "", address.port)
        upstream.request(method, path, body or None, {"content-type": kind})
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        return answer.status, data

    def take_half(self, path: str, body: bytes) -> Answer:
        """Index every second document; answer 429 for the others, item by item."""
        lines = body.splitlines(keepends=True)
        taken = b"".join(lines[n] + lines[n + 1] for n in range(0, len(lines), 4))
        status, data = self.pass_on("POST", path, taken, "application/x-ndjson")
        assert status == 200
        given = iter(json.loads(data)["items"])
        refused = {"index": {"status": 429, "error": OVERLOAD}}
        items: list[Any] = [refused if n % 2 else next(given) for n in range(len(lines) // 2)]
        return 200, json.dumps({"errors": True, "items": items}).encode()


@contextmanager
def before(engine: str) -> Iterator[BulkGateway]:
    """A gateway on a free port."""
    gateway = BulkGateway(engine)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = None
            if "/_bulk" in self.path:
                with gateway.lock:
                    gateway.bulks += 1
                    number = gateway.bulks
                    gateway.documents += body.count(b"\n") // 2
                answer = gateway.answer(number, self.path, body)
            kind = self.headers.get("content-type", "application/json")
            status, data = answer or gateway.pass_on(self.command, self.path, body, kind)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            # Elasticsearch's own client library wants to hear it; others don't mind.
            self.send_header("x-elastic-product", "Elasticsearch")
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
