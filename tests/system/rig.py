"""A running system as its users see it: Airflow's REST API, the ledger, the engine's indices."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import psutil

from airflow_provider_logmigrate.core.certificate import Certificate
from airflow_provider_logmigrate.core.naming import dag_id, encode_tenant, migration_dag_id
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.ledger.runs import Run
from airflow_provider_logmigrate.ledger.units import UnitState
from devstack.airflow import AirflowServer
from devstack.airflow_api import AirflowClient
from devstack.opensearch import OpenSearchServer
from devstack.postgres import PostgresServer
from devstack.sampledata import Counts, Profile
from tests.system.gateway import Gateway

T = TypeVar("T")

SMALL = "small_db"
BIG = "big_db"
FRAIL = "frail_db"


def eventually(probe: Callable[[], T | None], *, seconds: float, what: str) -> T:
    """Ask again and again until the answer is neither ``None`` nor false."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


def assert_same(
    found: Mapping[tuple[str, str], str], wanted: Mapping[tuple[str, str], str]
) -> None:
    """The same documents; a few that differ are named.

    A plain comparison of tens of thousands would show them all, which takes pytest minutes.
    """
    differing = sorted(dict(found.items() ^ wanted.items()))
    assert not differing, (
        f"{len(differing):,} documents differ, of {len(found):,} found and {len(wanted):,} wanted:"
        f" {differing[:5]}"
    )


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended; one that nobody asks for its exit code stays a zombie."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Sample data in a database, and the generator's own account of them."""

    profile: Profile
    dsn: str
    counts: Counts

    @property
    def tenants(self) -> tuple[str, ...]:
        return self.profile.tenant_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An Airflow, the ledger and the engine it migrates to.

    :param gateway: before ``search``; every migration writes through it.
    """

    airflow: AirflowServer
    search: OpenSearchServer
    gateway: Gateway
    ledger: Ledger

    @property
    def client(self) -> AirflowClient:
        return self.airflow.client()

    def trigger(self, migration: str, tenant: str, **conf: Any) -> DagRun:
        """Start a run of a tenant's DAG, as `airflow dags trigger --conf` would."""
        name = dag_id(migration, tenant)
        return DagRun(self, migration, tenant, name, self.client.trigger(name, conf=conf))

    def trigger_for_all(self, migration: str, role: str, **conf: Any) -> DagRun:
        """Start a run of one of a migration's other DAGs, for example ``sweep`` or ``purge``."""
        name = migration_dag_id(migration, role)
        return DagRun(self, migration, "", name, self.client.trigger(name, conf=conf))

    def scheduled(self, migration: str, role: str) -> DagRun:
        """Let a migration's DAG run by itself: the first run that its schedule has made."""
        name = migration_dag_id(migration, role)
        self.client.patch(f"/dags/{name}", {"is_paused": False})

        def made() -> str | None:
            runs = self.client.get(f"/dags/{name}/dagRuns?run_type=scheduled")["dag_runs"]
            return runs[0]["dag_run_id"] if runs else None

        run_id = eventually(made, seconds=60, what=f"a scheduled run of {name}")
        return DagRun(self, migration, "", name, run_id)

    def ask(self, method: str, path: str, body: object = None, *, engine: str = "") -> Any:
        """Ask the engine itself, past the gateway."""
        url = f"{engine or self.search.url}/{path}"
        answer = httpx.request(method, url, json=body, trust_env=False, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def documents(self, prefix: str) -> dict[tuple[str, str], str]:
        """Digest of every document's source, by index (without the prefix) and id."""
        found: dict[tuple[str, str], str] = {}
        shown = "_scroll_id,hits.hits._index,hits.hits._id,hits.hits._source"
        with httpx.Client(base_url=self.search.url, trust_env=False, timeout=60) as client:
            client.post(f"/{prefix}-*/_refresh").raise_for_status()
            answer = client.post(
                f"/{prefix}-*/_search?scroll=1m&filter_path={shown}",
                json={"size": 1000, "sort": ["_doc"]},
            )
            while True:
                assert answer.status_code == 200, answer.text[:2000]
                page = msgspec.json.decode(answer.content, type=_Page)
                body = {"scroll_id": page.scroll}
                if page.hits is None:
                    client.request("DELETE", "/_search/scroll", json=body).raise_for_status()
                    return found
                for hit in page.hits.hits:
                    place = (hit.index.removeprefix(prefix), hit.id)
                    assert place not in found
                    found[place] = hashlib.sha256(hit.source).hexdigest()
                answer = client.post(
                    f"/_search/scroll?filter_path={shown}", json=body | {"scroll": "1m"}
                )

    def indices(self, prefix: str) -> list[str]:
        """Names of the indices with a prefix."""
        return sorted(self.ask("GET", f"{prefix}-*/_settings"))

    def aliases(self, prefix: str) -> dict[str, set[str]]:
        """Indices by alias, for indices with a prefix."""
        found: dict[str, set[str]] = {}
        for index, entry in self.ask("GET", f"{prefix}-*/_alias").items():
            for alias in entry["aliases"]:
                found.setdefault(alias, set()).add(index)
        return found

    def settings(self, index: str) -> Mapping[str, Any]:
        """Settings of one index."""
        answer: dict[str, Any] = self.ask("GET", f"{index}/_settings")
        settings: Mapping[str, Any] = answer[index]["settings"]["index"]
        return settings

    def certificates(self, migration: str) -> dict[str, Certificate]:
        """The newest certificate of each unit."""
        return self.ledger.certificates.latest_by_unit(migration)


@dataclass(frozen=True, slots=True, kw_only=True)
class System(Site):
    """All parts of the system that the tests of this folder share.

    :param frail_postgres: source of its own, for tests that stop it; ``frail_search`` likewise,
        not started yet, with ``frail_gateway`` before it.
    :param live: a database whose rows change.
    :param storage: the samples' offloaded files, in a folder for each profile.
    """

    frail_postgres: PostgresServer
    frail_search: OpenSearchServer
    frail_gateway: Gateway
    small: Sample
    big: Sample
    leaving: Sample
    live: str
    storage: Path


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run of a tenant's DAG."""

    system: Site
    migration: str
    tenant: str
    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        return f"/dags/{quote(self.dag_id, safe='')}/dagRuns/{quote(self.run_id, safe='')}"

    def finish(self, *, seconds: float = 240) -> str:
        """Wait for its end; its state."""
        return self.system.client.wait_for_run(self.dag_id, self.run_id, seconds=seconds)

    def succeed(self, *, seconds: float = 240) -> None:
        """Wait for its end, which must be a success."""
        state = self.finish(seconds=seconds)
        assert state == "success", self.trouble()

    def trouble(self) -> str:
        """Logs of tasks that failed."""
        lines = []
        for task in self.system.client.task_instances(self.dag_id, self.run_id):
            lines.append(f"{task['task_id']}[{task['map_index']}] {task['state']}")
            if task["state"] == "failed":
                log = self.log(task["task_id"], task["try_number"], task["map_index"])
                lines.append(log[-3000:])
        return "\n".join(lines)

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Task instances by name; mapped ones as ``name[index]``."""
        found = {}
        for task in self.system.client.task_instances(self.dag_id, self.run_id):
            lane = "" if task["map_index"] < 0 else f"[{task['map_index']}]"
            found[f"{task['task_id']}{lane}"] = task
        return found

    def states(self) -> dict[str, str]:
        """Their states."""
        return {name: task["state"] for name, task in self.tasks().items()}

    def log(self, task: str, try_number: int = 1, map_index: int = -1) -> str:
        return self.system.client.logs(
            self.dag_id, self.run_id, task, try_number=try_number, map_index=map_index
        )

    def xcom(self, task: str, key: str = "return_value", map_index: int = -1) -> Any:
        return self.system.client.xcom(self.dag_id, self.run_id, task, key, map_index)

    def task_state(self, task: str, map_index: int) -> dict[str, Any]:
        """What the task keeps in Airflow's task state."""
        path = f"{self.path}/taskInstances/{task}/state-store?map_index={map_index}"
        found = self.system.client.get(path)["task_state_store"]
        return {entry["key"]: entry["value"] for entry in found}

    @property
    def recorded(self) -> Run:
        """What the ledger says about it."""
        return self.system.ledger.runs.get(f"{self.dag_id}/{self.run_id}")

    def recorded_of(self, tenant: str) -> Run:
        """What the ledger says about one tenant, where the run is for many."""
        return self.system.ledger.runs.get(f"{self.dag_id}/{self.run_id}/{encode_tenant(tenant)}")

    @property
    def report(self) -> Mapping[str, Any]:
        """The report in the ledger, which has it whatever became of the run."""
        report = self.recorded.report
        assert report is not None
        return report

    def copied(self) -> dict[str, dict[str, Any]]:
        """What each unit needed, from all lanes."""
        lanes = [name for name in self.tasks() if name.startswith("backfill[")]
        found: dict[str, dict[str, Any]] = {}
        for lane in range(len(lanes)):
            found |= self.xcom("backfill", map_index=lane)["units"]
        return found

    def fail_by_hand(self) -> None:
        """Mark it as failed, as the button in the web page does."""
        self.system.client.patch(self.path, {"state": "failed"})

    def question(self, *, seconds: float = 240) -> dict[str, Any]:
        """Wait until the run waits for a person; what it asks."""

        def asked() -> dict[str, Any] | None:
            return self.system.client.question(self.dag_id, self.run_id)

        return eventually(asked, seconds=seconds, what=f"the question of {self.dag_id}")

    def answer(self, option: str) -> None:
        """Answer it."""
        self.system.client.answer(self.dag_id, self.run_id, option)

    def unit(self, stream: str = "workflow_node_executions") -> UnitState | None:
        """The state of the tenant's only unit of a stream."""
        states = self.system.ledger.units.states(self.migration, tenant=self.tenant)
        found = [state for state in states if state.stream == stream]
        assert len(found) <= 1
        return found[0] if found else None

    def wait_for_try(self, number: int, *, seconds: float) -> None:
        """Wait until lane 0's copying task runs for the so-many-th time."""

        def begun() -> bool:
            task = self.tasks().get("backfill[0]")
            return task is not None and task["try_number"] >= number and task["state"] == "running"

        eventually(begun, seconds=seconds, what=f"try {number} of {self.dag_id}")

    def task_process(self, unit: UnitState | None = None) -> psutil.Process:
        """The process that copies a unit, which must be one of this system's own."""
        unit = unit or self.unit()
        assert unit is not None
        pid = re.search(r"process (\d+)$", unit.holder)
        assert pid, unit.holder
        process = psutil.Process(int(pid[1]))
        assert process in self.system.airflow.components["scheduler"].members()
        return process


class _Hit(msgspec.Struct):
    index: str = msgspec.field(name="_index")
    id: str = msgspec.field(name="_id")
    source: msgspec.Raw = msgspec.field(name="_source")


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Page(msgspec.Struct):
    scroll: str = msgspec.field(name="_scroll_id")
    hits: _Hits | None = None
