"""A certificate authority and a server certificate for the search engine of docker-compose.yaml.

The engine's own demonstration certificates have a private key that everybody knows, and a host
name that no client can verify. These are made once per installation. The authority's key is not
kept, so the certificates end with the volumes they lie in.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOSTS = ("opensearch", "localhost")
LIFETIME = datetime.timedelta(days=825)


def make(*, authority_dir: Path, server_dir: Path, owner: int | None = None) -> bool:
    """Write ``ca.pem`` to both folders, ``node.pem`` and ``node.key`` to the server's.

    The server's key is written last, so a run that was cut short is made good by the next one.

    :param owner: user id that the server runs as, who alone may read the key.
    :return: False when everything was already there.
    """
    key_file = server_dir / "node.key"
    if key_file.exists() and (authority_dir / "ca.pem").exists():
        return False
    authority_key = _new_key()
    server_key = _new_key()
    authority = _authority(authority_key)
    server = _server(server_key, authority=authority, authority_key=authority_key)
    for folder in (authority_dir, server_dir):
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "ca.pem", authority.public_bytes(serialization.Encoding.PEM), 0o644)
    _write(server_dir / "node.pem", server.public_bytes(serialization.Encoding.PEM), 0o644)
    private = server_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(key_file, private, 0o600, owner=owner)
    return True


def _write(path: Path, content: bytes, mode: int, *, owner: int | None = None) -> None:
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)
    if owner is not None:
        os.chown(draft, owner, -1)
    draft.replace(path)


def _authority(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = _name("logmigrate compose authority")
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _draft(subject=name, issuer=name, key=key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: rsa.RSAPrivateKey,
    *,
    authority: x509.Certificate,
    authority_key: rsa.RSAPrivateKey,
) -> x509.Certificate:
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in HOSTS]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _draft(subject=_name(HOSTS[0]), issuer=authority.subject, key=key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _draft(
    *, subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey
) -> x509.CertificateBuilder:
    # An hour back, for clients whose clock is behind.
    begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + LIFETIME)
    )


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


if __name__ == "__main__":
    made = make(
        authority_dir=Path(sys.argv[1]), server_dir=Path(sys.argv[2]), owner=int(sys.argv[3])
    )
    print("certificates made" if made else "certificates are already there")
