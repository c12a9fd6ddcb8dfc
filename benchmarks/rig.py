"""The servers under measurement and the runs on them.

Everything is started when a section first asks for it and stopped at the end. The ledger has a
PostgreSQL of its own, so that what the source's backends cost is what reading costs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import psutil
import psycopg

from benchmarks import affinity, wiring
from benchmarks.child import Child, Cost
from benchmarks.datasets import Dataset, Datasets
from benchmarks.errors import BenchmarkError
from benchmarks.settings import Settings
from devstack.opensearch import OpenSearchServer
from devstack.postgres import PostgresServer

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

NODES = "workflow_node_executions"
CEILING = "bench-ceiling"
CEILING_IN_FLIGHT = 3
"""One node takes no more from a fourth, a little more than from two."""
WARM_UP_ROUNDS = 2
"""A cold JVM takes two to three times as long for its first 100,000 documents."""

_SERVERS = ("source", "ledger", "datasets", "engine")
READY = "ready"
_OF_SERVERS = ("watch", "airflow", READY)
"""Cached properties and memories that a server's end makes useless."""

_OPEN_SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND backend_type IN ('client backend', 'parallel worker')"
)

_SOURCE_SETTINGS = {
    "shared_buffers": "1GB",
    "autovacuum": "off",  # data sets are vacuumed when they are made
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}


class Rig:
    """Servers, data and measured processes.

    :param say: told what goes on.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.say = say
        self._stack = ExitStack()
        self._memo: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def reset(self) -> None:
        """Stop all servers; they are started anew when asked for.

        After a section that failed: whatever it left behind must not fail the next one.
        """
        stack, self._stack = self._stack, ExitStack()
        for name in _SERVERS:
            self.__dict__.pop(name, None)
        for name in _OF_SERVERS:
            self._memo.pop(name, None)
        stack.close()

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` returned the first time: sections may share runs and servers."""
        if name not in self._memo:
            self._memo[name] = make()
        found: T = self._memo[name]
        return found

    def hold(self, server: Any) -> Any:
        """Start a server now and stop it at the end."""
        return self._stack.enter_context(server)

    @cached_property
    def source(self) -> PostgresServer:
        """The source, running."""
        self.say("starting PostgreSQL")
        server = PostgresServer(self.settings.root / "source", settings=_SOURCE_SETTINGS)
        return self._stack.enter_context(server)

    @cached_property
    def ledger(self) -> PostgresServer:
        """The ledger's server, running and empty."""
        shutil.rmtree(self.settings.root / "ledger", ignore_errors=True)
        return self._stack.enter_context(PostgresServer(self.settings.root / "ledger"))

    @cached_property
    def datasets(self) -> Datasets:
        """The data sets in the source."""
        return Datasets(self.source, self.settings, self.say)

    @cached_property
    def engine(self) -> OpenSearchServer:
        """The engine, running, empty and warm."""
        self.say("starting OpenSearch")
        root = self.settings.root / "opensearch"
        OpenSearchServer(root).stop()
        shutil.rmtree(root, ignore_errors=True)
        server = OpenSearchServer(root, heap_mb=self.settings.heap_mb)
        self._stack.enter_context(server)
        self.say("warming it up")
        for _ in range(WARM_UP_ROUNDS if self.settings.judged else 1):
            self._run(self._ceiling_job(server.url, CEILING, CEILING_IN_FLIGHT, {}, {}))
        return server

    @cached_property
    def bodies(self) -> Path:
        """A folder with the documents of ``bench`` as ready bulk bodies."""
        folder = self.settings.root / "bodies"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        data = self.datasets.get("bench")
        job = self.job("bodies", data, tenant=data.tenants[0], folder=str(folder), url="")
        self._run(job)
        return folder

    def job(
        self,
        name: str,
        data: Dataset,
        *,
        url: str | None = None,
        streams: tuple[str, ...] = (NODES,),
        ledger: str = "ledger",
        **more: Any,
    ) -> dict[str, Any]:
        """A job's JSON, for jobs that open the migration of a data set.

        :param url: the engine's, started if it isn't given; any other text for jobs that never
            call it.
        :param ledger: name of its database.
        """
        address = self.engine.url if url is None else (url or "http://127.0.0.1:9")
        return {
            "job": name,
            "config": str(data.config),
            "connections": {
                "source": wiring.postgres("source", data.dsn),
                "ledger": wiring.postgres("ledger", self.ledger.create_database(ledger)),
                "search": wiring.search("search", address),
            },
            "streams": list(streams),
            **more,
        }

    def copy(self, data: str = "bench", *, pinned: bool = False, **more: Any) -> Cost:
        """One backfill of a data set's first tenant into new indices."""
        found = self.datasets.get(data)
        job = self.job("copy", found, tenant=found.tenants[0], **more)
        cost = self._run(job, pinned=pinned)
        if cost.found["rejected"] or not cost.found["rows"]:
            raise BenchmarkError(f"the copy of {data} isn't whole: {cost.found}")
        return cost

    def ceiling(
        self,
        *,
        pinned: bool = False,
        in_flight: int = CEILING_IN_FLIGHT,
        properties: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        index: str = CEILING,
        drop: bool = True,
        share: float = 1.0,
    ) -> Cost:
        """The same documents as ready bodies.

        :param share: of the bodies; the rest isn't sent.
        :param properties: fields mapped otherwise.
        :param settings: index settings in addition.
        """
        job = self._ceiling_job(
            self.engine.url, index, in_flight, dict(properties or {}), dict(settings or {})
        )
        return self._run(job | {"drop": drop, "share": share}, pinned=pinned)

    def by_hand(self, method: str, name: str) -> Cost:
        """The rows of a data set's first tenant by a program as a user would write it."""
        data = self.datasets.get(name)
        return self._run(
            {
                "job": "by_hand",
                "method": method,
                "dsn": data.dsn,
                "url": self.engine.url,
                "index": "bench-by-hand",
                "folder": str(self.bodies),
                "tenant": data.tenants[0],
                "first": data.first,
                "end": data.end,
            }
        )

    def run(self, job: Mapping[str, Any], *, env: Mapping[str, str] | None = None) -> Cost:
        """Run any job."""
        return self._run(job, env=env)

    def child(self, job: Mapping[str, Any]) -> Child:
        """A job's process, ready to go; the caller drives it."""
        return Child(job, log=self._log)

    @property
    def _log(self) -> Path:
        return self.settings.root / "logs" / "jobs.log"

    def _ceiling_job(
        self,
        url: str,
        index: str,
        in_flight: int,
        properties: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> dict[str, Any]:
        return {
            "job": "ceiling",
            "url": url,
            "index": index,
            "folder": str(self.bodies),
            "in_flight": in_flight,
            "properties": dict(properties),
            "settings": dict(settings),
        }

    def _run(
        self,
        job: Mapping[str, Any],
        *,
        pinned: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Cost:
        with ExitStack() as stack:
            if pinned:
                engine_cpu, rest = affinity.halves()
                stack.enter_context(affinity.pinned(self.engine.process, engine_cpu))
                stack.enter_context(affinity.pinned(self.source.process, rest))
                stack.enter_context(affinity.pinned(self.ledger.process, rest))
                job = {**job, "cpus": sorted(rest)}
            child = stack.enter_context(Child(job, log=self._log, env=env))
            before, engine = self._backends(), self._engine_seconds()
            child.go()
            cost = child.cost()
            engine = self._engine_seconds() - engine
        self._wait_for_sessions_to_end()
        self.say(f"  {job['job']} {cost.seconds:.2f} s")
        return replace(cost, backend=self._backends() - before, engine=engine)

    def _engine_seconds(self) -> float:
        """Processor seconds of the engine so far; 0 while it isn't used."""
        if "engine" not in self.__dict__:
            return 0.0
        times = psutil.Process(self.engine.process.pid).cpu_times()
        return float(times.user + times.system)

    def _backends(self) -> float:
        """Processor seconds of the source's backends so far, those that are still open included;
        0 while it isn't used.

        Called while a job waits for its start, with idle sessions, and after its end.
        """
        if "source" not in self.__dict__:
            return 0.0
        watch = self.once("watch", self._watch)
        times = psutil.Process(self.source.process.pid).cpu_times()
        seconds = float(times.children_user + times.children_system)
        for (pid,) in watch.execute(_OPEN_SESSIONS).fetchall():
            times = psutil.Process(pid).cpu_times()
            seconds += float(times.user + times.system)
        return seconds

    def _wait_for_sessions_to_end(self) -> None:
        """So that what they cost stands with their server, as that of its ended children."""
        if "source" not in self.__dict__:
            return
        watch = self.once("watch", self._watch)
        deadline = time.monotonic() + 10
        while found := watch.execute(_OPEN_SESSIONS).fetchall():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{len(found)} sessions of the source don't end")
            time.sleep(0.02)

    def _watch(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self.source.dsn(), autocommit=True)
        return self._stack.enter_context(connection)
