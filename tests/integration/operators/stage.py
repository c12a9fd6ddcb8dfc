"""Everything around the operators, for real: source, engine, ledger, connections, configuration.

A stage has a source database, a ledger database and names of its own in a shared engine. A run is
one DAG run's worth of operator calls; only Airflow's task runner is played.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg2
import psycopg2.extensions
import pytest

from airflow_provider_logmigrate.core.errors import TenantInvalid
from airflow_provider_logmigrate.core.naming import dag_id
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.stores.search.client import Endpoint, Engine, SearchClient

if TYPE_CHECKING:
    from devstack.engine import SearchEngine

CONFIG = "AIRFLOW__LOGMIGRATE__CONFIG"
SOURCE, TARGET, LEDGER = "dify_postgres", "logs_search", "logmigrate_ledger"

EVENTS = """
CREATE TABLE events (
    id text PRIMARY KEY, tenant text NOT NULL, at timestamptz NOT NULL, state text NOT NULL,
    note text
);
CREATE INDEX events_by_tenant ON events (tenant, at, id);
"""
EVENT_STREAM = {"table": "events", "event_time": "at", "tenant_column": "tenant"}


class TaskStateStore(dict[str, Any]):
    """Airflow's task state of one task: JSON only, kept over retries.

    :param on_set: told about every write before it is kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_set: Callable[[str, Any], None] = lambda key, value: None

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.on_set(key, value)
        self[key] = json.loads(json.dumps(value, allow_nan=False))


class TaskInstance:
    """The part of Airflow's task instance that the operators use."""

    map_index = -1

    def __init__(self, run: Run, task_id: str) -> None:
        self.dag_id, self.run_id = run.dag_id, run.run_id
        self._run, self.task_id = run, task_id

    def xcom_push(self, key: str, value: Any) -> None:
        self._run.xcoms[self.task_id, key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str | list[str], key: str = "return_value") -> Any:
        """A list of names gives a list of all their values, those of mapped tasks one by one."""
        if isinstance(task_ids, str):
            return self._run.xcoms.get((task_ids, key))
        found = [self._run.xcoms.get((task_id, key), []) for task_id in task_ids]
        return [value for values in found for value in values]

    def get_task_states(self, *, dag_id: str, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        return {run_id: dict(self._run.states) for run_id in run_ids}


@dataclass
class Run:
    """One DAG run of one tenant; each method is one task.

    :param states: what the tasks ended with, as the report task asks for it.
    """

    stage: Stage
    tenant: str
    run_id: str
    params: Mapping[str, Any] = field(default_factory=dict)
    lanes: list[dict[str, Any]] = field(default_factory=list)
    xcoms: dict[tuple[str, str], Any] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    stores: dict[str, TaskStateStore] = field(default_factory=dict)
    copied: dict[int, Any] = field(default_factory=dict)

    @property
    def dag_id(self) -> str:
        try:
            return dag_id(self.stage.migration, self.tenant)
        except TenantInvalid:  # has no DAG; its operators refuse it all the same
            return f"logmigrate_{self.stage.migration}"

    @property
    def key(self) -> str:
        """The run's key in the ledger."""
        return f"{self.dag_id}/{self.run_id}"

    def store(self, task: str) -> TaskStateStore:
        return self.stores.setdefault(task, TaskStateStore())

    def plan(self) -> list[dict[str, Any]]:
        from airflow.sdk import DAG
        from airflow.sdk.exceptions import DownstreamTasksSkipped

        from airflow_provider_logmigrate.operators.dry_run import DryRunOperator
        from airflow_provider_logmigrate.operators.problems import ConfigurationProblemsOperator

        with DAG(self.dag_id, schedule=None):
            operator = DryRunOperator(task_id="dry_run", **self._names)
            for following in ("backfill", "report"):
                operator >> ConfigurationProblemsOperator(task_id=following, problems=[])
        try:
            self.lanes = self._run("dry_run", operator)
        except DownstreamTasksSkipped as skipped:
            if skipped.tasks != ["backfill"]:  # the report is written all the same
                raise
            self.states |= {"dry_run": "success", "backfill": "skipped"}
            self.lanes = self.xcoms["dry_run", "return_value"]
        return self.lanes

    def backfill(self, lane: int = 0, *, operator: Any = None) -> dict[str, Any]:
        operator = operator or self.backfill_operator(lane)
        done: dict[str, Any] = self._run(f"backfill {lane}", operator)
        # A mapped task's results are pulled as a list.
        self.copied[lane] = self.xcoms["backfill", "return_value"]
        self.xcoms["backfill", "return_value"] = list(self.copied.values())
        return done

    def backfill_operator(self, lane: int = 0) -> Any:
        from airflow_provider_logmigrate.operators.backfill import BackfillOperator

        return BackfillOperator(task_id="backfill", lane=self.lanes[lane], **self._names)

    def validate(self, lane: int = 0, **given: Any) -> dict[str, Any]:
        from airflow_provider_logmigrate.operators.validate import ValidateSampleOperator

        operator = ValidateSampleOperator(
            task_id="validate", lane=self.lanes[lane], **self._names, **given
        )
        proven: dict[str, Any] = self._run(f"validate {lane}", operator)
        return proven

    def swap(self) -> dict[str, Any]:
        from airflow_provider_logmigrate.operators.alias_swap import AliasSwapOperator

        swapped: dict[str, Any] = self._run(
            "swap", AliasSwapOperator(task_id="swap", **self._names)
        )
        return swapped

    def report(self) -> dict[str, Any]:
        from airflow_provider_logmigrate.operators.report import ReportOperator

        reported: dict[str, Any] = self._run(
            "report", ReportOperator(task_id="report", **self._names)
        )
        return reported

    def copy(self) -> dict[str, dict[str, Any]]:
        """Plan and backfill all lanes; what each unit needed."""
        self.plan()
        done = [self.backfill(number) for number in range(len(self.lanes))]
        return {unit: counts for lane in done for unit, counts in lane["units"].items()}

    def prove(self) -> dict[str, dict[str, Any]]:
        """Validate all lanes; each unit's verdict."""
        proven = [self.validate(number) for number in range(len(self.lanes))]
        return {unit: verdict for lane in proven for unit, verdict in lane.items()}

    def whole(self) -> dict[str, Any]:
        """Every task in order; the report."""
        self.copy()
        self.prove()
        self.swap()
        return self.report()

    @property
    def _names(self) -> dict[str, Any]:
        return {"migration": self.stage.migration, "tenant": self.tenant}

    def _run(self, task: str, operator: Any) -> Any:
        context = {
            "ti": TaskInstance(self, operator.task_id),
            "params": dict(self.params),
            "task_state_store": self.store(task),
        }
        self.states[operator.task_id] = "failed"
        returned = operator.execute(context)
        self.states[operator.task_id] = "success"
        self.xcoms[operator.task_id, "return_value"] = json.loads(json.dumps(returned))
        return returned


class Stage:
    """See the module.

    :param folder: for the configuration file.
    """

    migration = "logs"

    def __init__(
        self,
        *,
        engine: SearchEngine,
        source: str,
        ledger: str,
        folder: Path,
        environment: pytest.MonkeyPatch,
    ) -> None:
        self.engine, self.source_dsn, self.ledger_dsn = engine, source, ledger
        self.folder = folder
        self._environment = environment
        self.prefix = f"t{secrets.token_hex(5)}"
        self.client = SearchClient(Endpoint(engine=Engine(engine.name), hosts=(engine.url,)))
        self._runs = 0
        self.config = folder / "logmigrate.yaml"
        environment.setenv(CONFIG, str(self.config))
        self.connect(SOURCE, **postgres_fields(source))
        self.connect(LEDGER, **postgres_fields(ledger))
        self.connect(TARGET, **self.search_fields())

    def search_fields(self, url: str = "", **more: Any) -> dict[str, Any]:
        """Fields of the target's connection."""
        address = urlsplit(url or self.engine.url)
        fields = {
            "conn_type": self.engine.name,
            "schema": address.scheme,
            "host": address.hostname,
            "port": address.port,
        }
        return fields | more

    def connect(self, conn_id: str, **fields: Any) -> None:
        """Set an Airflow connection."""
        self._environment.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    def configure(self, *, tenants: Sequence[str] = ("acme",), **changes: Any) -> None:
        """Write the configuration: one migration of the ``events`` stream unless told otherwise."""
        migration = {
            "source": "db",
            "target": "search",
            "tenants": {"list": list(tenants)},
            "streams": {"events": dict(EVENT_STREAM)},
            "from": "2025-01-01",
            "to": "2025-01-31",
            "settle_lag": "0s",
            "lanes": 1,
            "index_prefix": self.prefix,
            **changes,
        }
        document = {
            "version": 1,
            "stores": {
                "db": {"type": "postgres", "connection": SOURCE},
                "search": {"type": self.engine.name, "connection": TARGET},
            },
            "migrations": {
                self.migration: {k: v for k, v in migration.items() if v is not None},
            },
        }
        self.config.write_text(json.dumps(document))  # JSON is YAML

    def run(self, tenant: str = "acme", **params: Any) -> Run:
        """A new DAG run."""
        self._runs += 1
        return Run(self, tenant, f"manual__{self._runs}", params)

    def execute(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run SQL on the source."""
        return execute(self.source_dsn, statement, parameters)

    def fill(self, count: int, *, tenant: str = "acme", note: str = "7", first: int = 0) -> None:
        """Events spread evenly over January 2025: ids ``e00000`` on, in the order of time."""
        self.execute(
            "INSERT INTO events SELECT 'e' || lpad(n::text, 5, '0'), %(tenant)s,"
            " timestamptz '2025-01-01 00:00+00' + (n - %(first)s) * interval '31 days' / %(count)s,"
            " 'done', %(note)s FROM generate_series(%(first)s, %(first)s + %(count)s - 1) AS n",
            {"count": count, "tenant": tenant, "note": note, "first": first},
        )

    def add(self, key: str, at: str, *, tenant: str = "acme", note: str = "7") -> None:
        """One event."""
        self.execute("INSERT INTO events VALUES (%s, %s, %s, 'done', %s)", (key, tenant, at, note))

    def ledger(self) -> Ledger:
        """The ledger, to look into."""
        return Ledger(self.ledger_dsn, who="a test")

    def phase(self, unit: str) -> str:
        """How a unit stands in the ledger."""
        with self.ledger() as ledger:
            state = ledger.units.state(self.migration, unit)
            assert state is not None
            return state.phase.value

    def index(self, unit: str, version: int = 1) -> str:
        """The concrete index of a unit key of the events stream."""
        stream, tenant, label = unit.split("/")
        slug = stream.replace("_", "-")
        return f"{self.prefix}-{slug}-{tenant}-{label.replace('-', '.')}-v{version}"

    def settings(self, index: str) -> dict[str, str]:
        """The index's own settings, flat."""
        data = self.client.request("GET", f"/{index}/_settings", params={"flat_settings": "true"})
        found: dict[str, str] = data.data[index]["settings"]
        return found

    def documents(self, index: str) -> dict[str, dict[str, Any]]:
        """All of an index or alias, by id; at most 10,000."""
        self.client.request("POST", f"/{index}/_refresh")
        data = self.client.request(
            "POST", f"/{index}/_search", body={"size": 10_000, "track_total_hits": True}
        ).data
        assert data["hits"]["total"]["value"] <= 10_000
        return {hit["_id"]: hit["_source"] for hit in data["hits"]["hits"]}

    def count(self, index: str) -> int:
        """Documents of an index or alias."""
        self.client.request("POST", f"/{index}/_refresh")
        return int(self.client.request("GET", f"/{index}/_count").data["count"])

    def aliases(self) -> dict[str, list[str]]:
        """This stage's aliases and where they point."""
        data = self.client.request("GET", f"/{self.prefix}-*/_alias").data
        found: dict[str, list[str]] = {}
        for index, record in data.items():
            for alias in record["aliases"]:
                found[alias] = sorted([*found.get(alias, []), index])
        return found

    def close(self) -> None:
        """Take away what this stage put into the shared engine."""
        for index in self.client.request("GET", f"/{self.prefix}-*/_alias").data:
            self.client.request("DELETE", f"/{index}")
        named = self.client.request("GET", "/_index_template").data["index_templates"]
        for template in named:
            if template["name"].startswith(self.prefix):
                self.client.request("DELETE", f"/_index_template/{template['name']}")
        self.client.close()


def postgres_fields(dsn: str, **more: Any) -> dict[str, Any]:
    """Fields of a ``postgres`` connection."""
    parts = psycopg2.extensions.parse_dsn(dsn)
    fields = {
        "conn_type": "postgres",
        "host": parts["host"],
        "port": int(parts["port"]),
        "login": parts["user"],
        "password": parts.get("password"),
        "schema": parts["dbname"],
    }
    return fields | more


def execute(dsn: str, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """Run SQL and commit; the rows, if there are any."""
    with session(dsn) as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def session(dsn: str) -> Iterator[Any]:
    """A cursor of one committed transaction."""
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
