"""A TCP relay on a loopback port that can be cut and mended, to take a server away."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Proxy:
    """Relays to one server.

    :param on_sent: sees what a client sends before it is passed on; may cut.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = 0
        self.on_sent: Callable[[bytes], None] = lambda data: None

    def mend(self) -> None:
        """Listen (again), on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(32)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            _close(listener)
        with self._lock:
            for end in self._open:
                _close(end)
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = listener.accept()
                with self._lock:
                    alive = self._listener is listener
                if not alive:
                    client.close()
                    return
                server = socket.create_connection(self._server)
                with self._lock:
                    self._open |= {client, server}
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._relay, args=ends, daemon=True).start()

    def _relay(self, giver: socket.socket, taker: socket.socket, upwards: bool) -> None:
        with contextlib.suppress(OSError):  # one of them was closed
            while data := giver.recv(1 << 16):
                if upwards:
                    self.on_sent(data)
                taker.sendall(data)
        with self._lock:
            self._open -= {giver, taker}
        _close(giver)
        _close(taker)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def relay(host: str, port: int) -> Iterator[Proxy]:
    """A proxy that is up."""
    proxy = Proxy(host, port)
    proxy.mend()
    try:
        yield proxy
    finally:
        proxy.cut()
