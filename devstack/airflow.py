"""Airflow on a PostgreSQL metadata database, each of its four components a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.airflow_api import AirflowClient
from devstack.airflow_settings import PLAIN, TIMINGS, Secrets
from devstack.errors import DevstackError
from devstack.paths import write_private
from devstack.ports import free_port
from devstack.process import BackgroundProcess
from devstack.readiness import wait_until_ready
from devstack.server import Server

if TYPE_CHECKING:
    from typing_extensions import Self

# Task logs are read from the folder they are written to, so nobody needs to serve them: two ports
# less that would listen on all interfaces.
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
"""Arguments of ``airflow``, by component."""


class AirflowServer(Server):
    """
    Airflow below ``root``: LocalExecutor, simple auth with the users admin, op and viewer.

    Starting it again after a crash works: what is left of the old one is cleared away first.
    Secrets and passwords are random, made once and kept in ``root``, readable by their owner only.

    :param root: folder of this Airflow alone, also its AIRFLOW_HOME; made when missing.
    :param database_dsn: metadata database, ``postgresql://user:password@host:port/name``.
    :param dags_folder: where the DAG files are.
    :param env: further variables of all its processes: connections, the provider's settings, or
        other values for Airflow's own.
    :param plugins_folder: where plugins are; none by default.
    """

    users: Mapping[str, str] = {"admin": "admin", "op": "op", "viewer": "viewer"}
    """Role by user name."""

    def __init__(
        self,
        root: Path,
        *,
        database_dsn: str,
        dags_folder: Path,
        env: Mapping[str, str],
        plugins_folder: Path | None = None,
    ) -> None:
        self.root = root.resolve()
        self.database_dsn = database_dsn
        self.dags_folder = dags_folder.resolve()
        self.plugins_folder = (plugins_folder or self.root / "plugins").resolve()
        self.env = dict(env)
        self.components = {name: BackgroundProcess(self.root, name) for name in self.commands()}
        self._port_file = self.root / "port"
        self._started_with = self.root / "environment.sha256"
        self._secrets_file = self.root / "secrets.json"

    def start(self) -> Self:
        """
        Prepare the database, start all components, wait until they are healthy.

        Does nothing when they run with just this environment, else stops what runs first.
        """
        if self.running() and self._environment_unchanged() and self.healthy():
            return self
        self.root.mkdir(parents=True, exist_ok=True)
        self.stop()  # what a crash may have left, or a part of it that still runs
        for folder in ("tmp", "plugins"):
            (self.root / folder).mkdir(exist_ok=True)
        self._ensure_secrets()
        port = free_port(self._last_port())
        self._port_file.write_text(str(port))
        self._migrate()
        for name in self.components:
            self.start_component(name)
        write_private(self._started_with, self._environment_digest())
        for process in self.components.values():
            wait_until_ready(
                self.healthy, process=process, seconds=180, what=f"Airflow's {process.name}"
            )
        return self

    def start_component(self, name: str) -> None:
        """Start one component, after it was stopped or killed. Doesn't wait."""
        process = self.components[name]
        process.stop(grace=0)
        process.start([_airflow(), *self.commands()[name]], env=self.environment_of(name))

    def stop(self) -> None:
        """Stop all components. Calling it again is harmless."""

        def stop(process: BackgroundProcess) -> None:
            # It has no state, but waits many seconds for open connections.
            grace = 3.0 if process.name == "api-server" else 15.0
            process.stop(first=signal.SIGTERM, grace=grace)

        with ThreadPoolExecutor(len(self.components)) as pool:
            list(pool.map(stop, self.components.values()))

    def kill(self) -> None:
        """SIGKILL everything at once, tasks included, as a crash would."""
        for process in self.components.values():
            process.kill()

    def running(self) -> bool:
        """Whether the processes of all components live."""
        return all(process.running() for process in self.components.values())

    def healthy(self) -> bool:
        """Whether the components report themselves alive."""
        return self.client().healthy(triggerer="triggerer" in self.components)

    def commands(self) -> Mapping[str, Sequence[str]]:
        """Which components there are: arguments of ``airflow`` by name."""
        return COMPONENTS

    def environment_of(self, name: str) -> dict[str, str]:  # noqa: ARG002 - for those that differ
        """The environment of one component."""
        return self.environment()

    @property
    def url(self) -> str:
        """Base address of the web pages and the API."""
        port = self._last_port()
        if port is None:
            raise DevstackError(f"the Airflow in {self.root} was never started")
        return f"http://127.0.0.1:{port}"

    def client(self, user: str = "admin") -> AirflowClient:
        """A client of its REST API as one of the users."""
        return AirflowClient(self.url, user, self.password(user))

    def password(self, user: str = "admin") -> str:
        """A user's password."""
        return self._secrets.passwords[user]

    def environment(self) -> dict[str, str]:
        """
        The whole environment of its processes; run ``airflow ...`` commands with it.

        Little of the caller's own gets in: neither Airflow settings nor a proxy, which would be
        asked for addresses of this machine.
        """
        scheme, _, rest = self.database_dsn.partition("://")
        if scheme != "postgresql":
            raise DevstackError(f"the metadata database must be postgresql://..., not {scheme}://")
        passwords = self.root / "simple_auth_manager_passwords.json"
        users = ",".join(f"{user}:{role}" for user, role in self.users.items())
        return {
            "PATH": os.pathsep.join([str(_airflow().parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.root / "tmp"),
            "AIRFLOW_HOME": str(self.root),
            **PLAIN,
            **TIMINGS,
            **self._secrets.environment(),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__PORT": self.url.rpartition(":")[2],
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags_folder),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.plugins_folder),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": users,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{rest}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.root / "logs" / "tasks"),
            **self.env,
        }

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``airflow <arguments>`` against it and wait; the caller looks at the exit code."""
        return subprocess.run(
            [_airflow(), *arguments],
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def pass_on(self, arguments: Sequence[str]) -> int:
        """Run ``airflow <arguments>`` in the caller's terminal and folder; its exit code."""
        command = [str(_airflow()), *arguments]
        return subprocess.run(command, env=self.environment(), check=False).returncode

    def _migrate(self) -> None:
        done = self.command("db", "migrate")
        if done.returncode != 0:
            raise DevstackError(
                "'airflow db migrate' could not prepare the metadata database:\n"
                f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )

    def _ensure_secrets(self) -> None:
        if not self._secrets_file.exists():
            made = Secrets.generate(self.users)
            write_private(self._secrets_file, json.dumps(asdict(made), indent=2))
        passwords = self.root / "simple_auth_manager_passwords.json"
        write_private(passwords, json.dumps(self._secrets.passwords))

    def _environment_digest(self) -> str:
        text = json.dumps(self.environment(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _environment_unchanged(self) -> bool:
        known = self._started_with
        return known.exists() and known.read_text() == self._environment_digest()

    @cached_property
    def _secrets(self) -> Secrets:
        if not self._secrets_file.exists():
            raise DevstackError(f"the Airflow in {self.root} was never started")
        return Secrets(**json.loads(self._secrets_file.read_text()))

    def _last_port(self) -> int | None:
        return int(self._port_file.read_text()) if self._port_file.exists() else None


def _airflow() -> Path:
    # Beside this interpreter and not its resolved target: that one is outside the environment.
    program = Path(sys.executable).parent / "airflow"
    if not program.exists():
        raise DevstackError("no Airflow in this environment: run 'make setup' first")
    return program
