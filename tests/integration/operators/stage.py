"""Everything around the operators, for real: source, engine, ledger, connections, configuration.

A stage has a source database, a ledger database and names of its own in a shared engine.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg2
import psycopg2.extensions
import pytest

from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.stores.search.client import Endpoint, Engine, SearchClient
from tests.integration.operators.run import Run, TaskStateStore

if TYPE_CHECKING:
    from devstack.engine import SearchEngine

__all__ = ["Run", "Stage", "TaskStateStore", "execute", "postgres_fields", "session"]

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
        """Write the configuration: one migration of the ``events`` stream unless told otherwise.

        Without repairs: a difference fails a proof.
        """
        migration = {
            "source": "db",
            "target": "search",
            "tenants": {"list": list(tenants)},
            "streams": {"events": dict(EVENT_STREAM)},
            "from": "2025-01-01",
            "to": "2025-01-31",
            "settle_lag": "0s",
            "lanes": 1,
            "reconcile": {"passes": 0},
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
