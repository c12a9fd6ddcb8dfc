"""What every HTTP server before an engine does: serve on a free port, and pass requests on."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


class Front(BaseHTTPRequestHandler):
    """Answers every request by :meth:`respond`."""

    protocol_version = "HTTP/1.1"

    def respond(self) -> None:
        """Answer one request, whatever its method."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """One of the names that the base class looks for."""
        self.respond()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def read_body(self) -> bytes:
        """The request's body."""
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def pass_on(self, engine: str, body: bytes) -> Answer:
        """Ask the engine the same.

        :param engine: its URL.
        """
        kind = self.headers.get("content-type", "application/json")
        return ask(engine, self.command, self.path, body, kind)

    def reply(self, answer: Answer, **headers: str) -> None:
        """Send an answer, with more headers than those it must have."""
        status, kind, data = answer
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


def ask(engine: str, method: str, path: str, body: bytes, kind: str) -> Answer:
    """Send one request to an engine, on a connection of its own."""
    address = urlsplit(engine)
    upstream = http.client.HTTPConnection(address.hostname or "", address.port)
    upstream.request(method, path, body or None, {"content-type": kind})
    answer = upstream.getresponse()
    data = answer.read()
    upstream.close()
    return answer.status, answer.headers.get("content-type", "application/json"), data


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Clients that go away, or are killed while they wait for an answer, are what it is for."""


@contextmanager
def serving(handler: type[Front], certificate: Path | None = None) -> Iterator[str]:
    """Serve on a free loopback port; its URL.

    :param certificate: with its key: over TLS.
    """
    server = _Server(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
