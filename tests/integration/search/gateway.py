"""A small HTTP(S) server before an engine: demands a login, speaks TLS, or answers nonsense."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.front import Answer, Front, serving

__all__ = ["Answer", "Gateway", "running", "self_signed"]

REFUSED = (
    b'{"error":{"root_cause":[],"type":"security_exception","reason":"missing authentication '
    b'credentials"},"status":401}'
)
FORBIDDEN = (
    b'{"error":{"type":"security_exception","reason":"no permissions for [indices:data/write/bulk]"'
    b'},"status":403}'
)


@dataclass
class Gateway:
    """What is asked of the gateway, and what it has seen.

    :param engine: URL it passes requests on to.
    :param logins: values of the Authorization header that are let in; none means everyone.
    :param readers: logins that may only read.
    :param intercept: answers in place of the engine, given path and body; ``None`` passes on.
        An answer of status 0 breaks the connection in the middle of the body.
    """

    engine: str
    logins: set[str] = field(default_factory=set)
    readers: set[str] = field(default_factory=set)
    intercept: Callable[[str, bytes], Answer | None] = lambda *_: None
    url: str = ""
    paths: list[str] = field(default_factory=list)


@contextmanager
def running(gateway: Gateway, certificate: Path | None = None) -> Iterator[Gateway]:
    """Serve on a free port; with a certificate file (and key in it) over TLS."""

    class Handler(Front):
        def respond(self) -> None:
            body = self.read_body()
            gateway.paths.append(self.path)
            status, kind, data = self.decide(body)
            if status:
                self.reply((status, kind, data))
                return
            self.send_response(200)
            self.send_header("content-length", str(len(data) * 2))
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = True

        def decide(self, body: bytes) -> Answer:
            login = self.headers.get("authorization", "")
            if gateway.logins | gateway.readers and login not in gateway.logins | gateway.readers:
                return 401, "application/json", REFUSED
            if login in gateway.readers and self.command != "GET":
                return 403, "application/json", FORBIDDEN
            return gateway.intercept(self.path, body) or self.pass_on(gateway.engine, body)

    with serving(Handler, certificate) as gateway.url:
        yield gateway


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that no CA has signed: (with its key, alone)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    whole, alone = folder / "server.pem", folder / "ca.pem"
    whole.write_bytes(private + public)
    alone.write_bytes(public)
    return whole, alone
