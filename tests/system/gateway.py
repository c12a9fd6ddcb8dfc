"""A gateway between the migration and a real engine: it notes every bulk, and can hold one back.

Holding back the answer to a bulk stops a copy at a known place, in the middle of a bulk: the engine
has the documents, the task doesn't know it yet. That is the worst moment for a kill, and here it is
one a test can choose. A bulk that is itself held back arrives late, whatever became of its sender.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from tests.front import Front, serving


@dataclass(frozen=True, slots=True)
class Bulk:
    """One bulk the engine has taken."""

    index: str
    keys: tuple[str, ...]


class Hold:
    """Keeps back the answer to one bulk until it is released, or the bulk itself.

    That stops a copy with one bulk in flight; another attempt that writes beside it goes on.

    :param after: it is the bulk with which so many documents of indices with the prefix were taken,
        or the one behind it if ``unsent``.
    :param unsent: the engine doesn't get the bulk before it is released.
    """

    def __init__(self, prefix: str, *, after: int, unsent: bool = False) -> None:
        self.prefix = prefix
        self.after = after
        self.unsent = unsent
        self.bulk: Bulk | None = None
        self._reached = threading.Event()
        self._open = threading.Event()
        self._lock = threading.Lock()

    def wait(self, *, seconds: float = 240) -> None:
        """Wait until it is being kept back."""
        reached = self.reached(seconds=seconds)
        assert reached, f"no copy of {self.prefix} got to {self.after} documents"

    def reached(self, *, seconds: float) -> bool:
        """Whether it is being kept back; waits for that at most so long."""
        return self._reached.wait(seconds)

    def release(self) -> None:
        """Let it go."""
        self._open.set()

    def pass_through(self, bulk: Bulk, gateway: Gateway) -> None:
        """Called for each bulk, or before each answer goes back: waits if it is the one."""
        if not bulk.index.startswith(self.prefix):
            return
        with self._lock:
            if self._reached.is_set() or len(gateway.sent(self.prefix)) < self.after:
                return
            self.bulk = bulk
            self._reached.set()
        self._open.wait()


@dataclass
class Gateway:
    """What the gateway has seen, and what it is told to do.

    :param engine: URL it passes requests on to.
    """

    engine: str
    url: str = ""
    _bulks: list[Bulk] = field(default_factory=list)
    _holds: list[Hold] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bulks(self, prefix: str) -> list[Bulk]:
        """Bulks that the engine has taken for indices with this prefix, in its order."""
        with self._lock:
            return [bulk for bulk in self._bulks if bulk.index.startswith(prefix)]

    def sent(self, prefix: str) -> list[str]:
        """Keys of the documents of those bulks; one that was sent twice stands here twice."""
        return [key for bulk in self.bulks(prefix) for key in bulk.keys]

    @contextmanager
    def hold(self, prefix: str, *, after: int, unsent: bool = False) -> Iterator[Hold]:
        """See :class:`Hold`. Released at the end, whatever happens."""
        hold = Hold(prefix, after=after, unsent=unsent)
        self._holds.append(hold)
        try:
            yield hold
        finally:
            hold.release()

    def arrived(self, path: str, body: bytes) -> Bulk | None:
        """A request came: if it is a bulk, wait as told before the engine gets it."""
        place = urlsplit(path).path.strip("/").split("/")
        if place[-1] != "_bulk":
            return None
        # Deletions have no document behind their line: then these are some of them only.
        actions = [json.loads(line) for line in body.split(b"\n")[:-1:2]]
        keys = tuple(action["index"]["_id"] for action in actions if "index" in action)
        bulk = Bulk(unquote(place[0]), keys)
        for hold in self._holds:
            if hold.unsent:
                hold.pass_through(bulk, self)
        return bulk

    def note(self, bulk: Bulk) -> None:
        """A bulk was taken: remember it, and wait as told before its answer goes back."""
        with self._lock:
            self._bulks.append(bulk)
        for hold in self._holds:
            if not hold.unsent:
                hold.pass_through(bulk, self)


@contextmanager
def running(gateway: Gateway) -> Iterator[Gateway]:
    """Serve on a free loopback port."""

    class Handler(Front):
        disable_nagle_algorithm = True

        def respond(self) -> None:
            body = self.read_body()
            bulk = gateway.arrived(self.path, body)
            try:
                answer = self.pass_on(gateway.engine, body)
            except (OSError, http.client.HTTPException):
                self.close_connection = True  # as if there were nothing between client and engine
                return
            if bulk is not None and answer[0] == 200:
                gateway.note(bulk)
            self.reply(answer)

    with serving(Handler) as gateway.url:
        yield gateway
