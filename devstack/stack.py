"""PostgreSQL, OpenSearch and Airflow together, wired to each other."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from devstack.airflow import AirflowServer
from devstack.airflow_api import AirflowClient
from devstack.errors import DevstackError
from devstack.opensearch import OpenSearchServer
from devstack.paths import BUILD, CHECKOUT, write_private
from devstack.postgres import PostgresServer, program
from devstack.process import BackgroundProcess
from devstack.progress import Report, shown_progress, timed
from devstack.sample import ensure_loaded
from devstack.sampledata.profiles import Profile
from devstack.wiring import connections, write_config

_DATABASES = ("airflow", "dify", "logmigrate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """
    What one needs to know to use the running stack; ``build/devstack.json``.

    :param postgres_dsn: superuser, database ``dify``; others are ``logmigrate`` and ``airflow``.
    :param storage: folder of the offloaded contents.
    """

    airflow_url: str
    airflow_user: str
    airflow_password: str
    search_url: str
    postgres_dsn: str
    config: str
    dags: str
    storage: str
    root: str
    pids: dict[str, int | None]


class Stack:
    """
    The whole dev stack below one folder.

    :param root: where the servers live.
    :param state_file: where ``up`` writes the addresses, for its owner only; gone after ``down``.
    """

    def __init__(
        self, root: Path = BUILD / "devstack", *, state_file: Path = BUILD / "devstack.json"
    ) -> None:
        self.root = root.resolve()
        self.state_file = state_file
        self.config = self.root / "logmigrate.yaml"
        self.storage = self.root / "storage"
        self.postgres = PostgresServer(self.root / "postgres")
        self.opensearch = OpenSearchServer(self.root / "opensearch")
        self.loaded_rows = 0
        self.was_running = False

    def up(self, console: Console | None = None, *, profile: Profile | None = None) -> Addresses:
        """
        Start whatever isn't running, also after a crash. If any part fails, all are stopped.

        Afterwards ``was_running`` says whether all of it ran before, and ``loaded_rows`` how many
        rows of the profile there are.

        :param console: where progress is shown; nowhere by default.
        :param profile: sample data to load if they aren't there yet.
        """
        with self._alone(), shown_progress(console or Console(quiet=True)) as report:
            self.was_running = all(process.running() for process in self.processes())
            self.state_file.unlink(missing_ok=True)
            airflow = self._start(report, profile)
            addresses = self._addresses(airflow)
            write_private(self.state_file, json.dumps(asdict(addresses), indent=2) + "\n")
        return addresses

    def down(self, console: Console | None = None) -> None:
        """Stop everything, keeping the data. Calling it again is harmless."""
        with self._alone():
            self._stop_all()
            self.state_file.unlink(missing_ok=True)
        if console is not None:
            console.print(f"stopped; the data are kept in {nearby(self.root)}")

    def kill(self) -> None:
        """SIGKILL every process, as a crash of the machine would."""
        for process in self.processes():
            process.kill()

    def processes(self) -> list[BackgroundProcess]:
        """All server processes, running or not."""
        airflow = self._airflow_to_stop().components.values()
        return [self.postgres.process, self.opensearch.process, *airflow]

    @property
    def search_url(self) -> str:
        """Where OpenSearch answers."""
        return self.opensearch.url

    def airflow(self) -> AirflowServer:
        """The Airflow of a stack that has been started."""
        return self._airflow(self.opensearch.url)

    def airflow_client(self, user: str = "admin") -> AirflowClient:
        """A client of Airflow's REST API."""
        return self.airflow().client(user)

    def places(self) -> dict[str, str]:
        """Where everything is, for people."""
        airflow = self.airflow()
        return {
            "Airflow": airflow.url,
            "user": "admin",
            "password": airflow.password("admin"),
            "OpenSearch": self.search_url,
            "PostgreSQL": shlex.join([nearby(program("psql")), self.postgres.dsn("dify")]),
            "configuration": nearby(self.config),
            "all of this": nearby(self.state_file),
        }

    def _start(self, report: Report, profile: Profile | None) -> AirflowServer:
        stopping = threading.Event()
        # OpenSearch starts beside PostgreSQL and Airflow, who must know its address by then.
        search_url = self.opensearch.reserve()
        with ThreadPoolExecutor(3) as pool:
            engine = pool.submit(self._start_engine, report)
            try:
                self._start_postgres(report)
                rows = pool.submit(self._load, profile, report)
                airflow = pool.submit(self._start_airflow, search_url, report, stopping)
                engine.result()
                self.loaded_rows = rows.result()
                server = airflow.result()
                if self.opensearch.url != search_url:
                    raise DevstackError(
                        f"somebody took the port of {search_url} while OpenSearch was starting: "
                        "run the same command again"
                    )
            except BaseException:
                # What still waits for a server ends by itself when the server has gone.
                stopping.set()
                self._stop_all()
                raise
        return server

    def _start_engine(self, report: Report) -> None:
        def on_progress(there: int, total: int) -> None:
            doing = "starting" if there == total else f"{there} of {total} jars"
            report("OpenSearch", doing, None if there == total else there / total)

        with timed("OpenSearch", report):
            self.opensearch.start(on_progress=on_progress)

    def _start_postgres(self, report: Report) -> None:
        with timed("PostgreSQL", report):
            self.postgres.start()
            for name in _DATABASES:
                self.postgres.create_database(name)

    def _load(self, profile: Profile | None, report: Report) -> int:
        if profile is None:
            return 0

        def on_progress(made: int, about: int) -> None:
            report("Sample data", f"{made:,} rows", made / about)

        rows = 0
        with timed("Sample data", report, result=lambda: f"{rows:,} rows"):
            rows = ensure_loaded(
                self.postgres.dsn("dify"), profile, storage=self.storage, on_progress=on_progress
            )
        return rows

    def _start_airflow(
        self, search_url: str, report: Report, stopping: threading.Event
    ) -> AirflowServer:
        if stopping.is_set():
            raise DevstackError("stopped before Airflow was started")
        with timed("Airflow", report):
            self.storage.mkdir(parents=True, exist_ok=True)
            write_config(self.config, storage=self.storage)
            return self._airflow(search_url).start()

    def _airflow(self, search_url: str) -> AirflowServer:
        wires = connections(
            dify_dsn=self.postgres.dsn("dify"),
            ledger_dsn=self.postgres.dsn("logmigrate"),
            search_url=search_url,
        )
        return AirflowServer(
            self.root / "airflow",
            database_dsn=self.postgres.dsn("airflow"),
            dags_folder=CHECKOUT / "dags",
            plugins_folder=CHECKOUT / "plugins",
            env={**wires, "AIRFLOW__LOGMIGRATE__CONFIG": str(self.config)},
        )

    def _airflow_to_stop(self) -> AirflowServer:
        # Also where PostgreSQL never started, so that no address of it is known.
        return AirflowServer(
            self.root / "airflow", database_dsn="", dags_folder=CHECKOUT / "dags", env={}
        )

    def _stop_all(self) -> None:
        self._airflow_to_stop().stop()
        self.opensearch.stop()
        self.postgres.stop()

    def _addresses(self, airflow: AirflowServer) -> Addresses:
        return Addresses(
            airflow_url=airflow.url,
            airflow_user="admin",
            airflow_password=airflow.password("admin"),
            search_url=self.opensearch.url,
            postgres_dsn=self.postgres.dsn("dify"),
            config=str(self.config),
            dags=str(airflow.dags_folder),
            storage=str(self.storage),
            root=str(self.root),
            pids={process.name: process.pid for process in self.processes()},
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once would start two of everything: the second waits for the first."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def nearby(path: Path) -> str:
    """The path as seen from the current folder, where that is shorter."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
