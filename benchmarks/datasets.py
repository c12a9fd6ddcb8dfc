"""The databases the sections read, each made once and kept below ``build/bench``.

``bench``: one tenant's month of node executions at real sizes, with the index that keyset reads
follow. ``plain``: the same with no other indices than Dify makes. ``fresh`` and ``old``: the same
amount over four tenants and three months, in the schema of a present and of an old installation.
``leaving``: twice the amount over two months, for purges. ``leaving_among``: the same rows among
those of other tenants, none of which is found by its run.
``many``: 500 tenants with a few rows each. ``million`` and ``wide``: see there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import psycopg
import psycopg2
from psycopg import sql

from benchmarks.settings import RUNS_PER_MONTH, Settings
from benchmarks.wiring import write_config
from devstack.postgres import PostgresServer
from devstack.sampledata import COLUMNS, PROFILES, DifySchema, create_schema
from devstack.sampledata.load import load

_NODES = "workflow_node_executions"
_KEYSET_INDEX = f"CREATE INDEX bench_keyset ON {_NODES} (tenant_id, created_at, id)"

WIDE_TENANT = "00000000-0000-4000-8000-000000000005"
WIDE_ROWS, WIDE_LARGE, WIDE_BYTES = 2_000, 100, 5_000_000
MANY_TENANTS = 500


@dataclass(frozen=True, slots=True)
class Dataset:
    """One database and the configuration of a migration that reads it.

    :param first, last: days of the migration, both included; ``end``: the instant behind them.
    """

    name: str
    dsn: str
    config: Path
    tenants: tuple[str, ...]
    first: str
    last: str
    end: str


class Datasets:
    """Makes databases when they are asked for.

    :param say: told what is being made.
    """

    def __init__(
        self, server: PostgresServer, settings: Settings, say: Callable[[str], None]
    ) -> None:
        self._server, self._settings, self._say = server, settings, say
        bench = replace(PROFILES["bench"], runs_per_month=settings.amount(RUNS_PER_MONTH))
        self._bench = bench
        several = replace(
            bench, tenants=4, months=3, runs_per_month=settings.amount(RUNS_PER_MONTH // 3)
        )
        leaving = replace(bench, months=2)
        self._profiles = {"bench": bench, "fresh": several, "old": several}
        self._profiles |= {"leaving": leaving, "leaving_among": leaving}

    @property
    def _files(self) -> Path:
        return self._settings.root / "files"

    def get(self, name: str) -> Dataset:
        """The data set, made unless it is there."""
        dsn = self._ready(name) or self._make(name)
        tenants, first, last, end = self._facts(name)
        config = write_config(
            self._settings.root / "config" / f"{name}.yaml",
            tenants=tenants,
            first=first,
            last=last,
            files=self._files if name.startswith("leaving") else None,
        )
        return Dataset(name, dsn, config, tenants, first, last, end)

    def again(self, name: str) -> Dataset:
        """The data set in a database of its own, made anew each time, to be changed at will."""
        original = self.get(name)
        victim = f"{name}_again"
        self._server.drop_database(victim)
        return replace(original, dsn=self._server.create_database(victim, template=name))

    def _facts(self, name: str) -> tuple[tuple[str, ...], str, str, str]:
        if name == "many":
            return many_tenants(self._settings), "2025-01-01", "2025-12-31", "2026-01-01"
        profile = self._profiles.get(name.removesuffix("_indexed"), self._bench)
        tenants = (WIDE_TENANT,) if name == "wide" else profile.tenant_ids
        starts = profile.month_starts
        return tenants, f"{starts[0]:%Y-%m-%d}", profile.last_day, f"{starts[-1]:%Y-%m-%d}"

    def _mark(self) -> str:
        return f"made by the benchmarks, scale {self._settings.scale:g}, version 1"

    def _ready(self, name: str) -> str | None:
        query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
        with psycopg.connect(self._server.dsn()) as connection:
            found = connection.execute(query, [name]).fetchone()
        return self._server.dsn(name) if found and found[0] == self._mark() else None

    def _make(self, name: str) -> str:
        self._server.drop_database(name)
        makers: dict[str, Callable[[], None]] = {
            "bench": lambda: self._load("bench", DifySchema.NEW, _KEYSET_INDEX),
            "fresh": lambda: self._load("fresh", DifySchema.NEW),
            "old": lambda: self._load("old", DifySchema.OLD),
            "leaving": lambda: self._load("leaving", DifySchema.NEW),
            "leaving_among": lambda: self._derive("leaving_among", "leaving", *_scanned()),
            "old_indexed": lambda: self._derive("old_indexed", "old", _KEYSET_INDEX),
            "plain": lambda: self._derive("plain", "bench", "DROP INDEX bench_keyset"),
            "million": lambda: self._derive("million", "bench", *_million()),
            "wide": lambda: self._derive("wide", "bench", *_wide(self._settings)),
            "many": self._make_many,
        }
        self._say(f"making data set {name}")
        makers[name]()
        dsn = self._server.dsn(name)
        with psycopg.connect(dsn, autocommit=True) as connection:
            # Sets hint bits and the visibility map, so no measured run pays for them.
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")
            mark = sql.SQL("COMMENT ON DATABASE {} IS {}")
            connection.execute(mark.format(sql.Identifier(name), sql.Literal(self._mark())))
        return dsn

    def _load(self, name: str, schema: DifySchema, *further: str) -> None:
        dsn = self._server.create_database(name)
        load(dsn, self._profiles[name], schema, self._files)
        _execute(dsn, *further)

    def _derive(self, name: str, template: str, *statements: str) -> None:
        self.get(template)
        with psycopg.connect(self._server.dsn(), autocommit=True) as connection:
            command = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
            connection.execute(command.format(sql.Identifier(name), sql.Identifier(template)))
        _execute(self._server.dsn(name), *statements)

    def _make_many(self) -> None:
        dsn = self._server.create_database("many")
        with psycopg.connect(dsn) as connection:
            _create(dsn)
            connection.execute("CREATE TABLE tenant (n int PRIMARY KEY, id uuid NOT NULL)")
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO tenant VALUES (%s, %s)",
                    list(enumerate(many_tenants(self._settings))),
                )
            for statement in _MANY:
                connection.execute(statement)


def many_tenants(settings: Settings) -> tuple[str, ...]:
    """Ids of the tenants of ``many``."""
    count = settings.amount(MANY_TENANTS, least=5)
    return tuple(
        str(UUID(hashlib.sha256(f"tenant {n}".encode()).hexdigest()[:32])) for n in range(count)
    )


def _create(dsn: str) -> None:
    connection = psycopg2.connect(dsn)
    try:
        create_schema(connection, DifySchema.NEW)
    finally:
        connection.close()


def _execute(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _columns(*, without: tuple[str, ...]) -> str:
    names = COLUMNS[DifySchema.NEW][_NODES]
    return ", ".join(f'n."{name}"' for name in names if name not in without)


def _names(*first: str) -> str:
    names = COLUMNS[DifySchema.NEW][_NODES]
    return ", ".join(f'"{name}"' for name in (*first, *(n for n in names if n not in first)))


def _million() -> tuple[str, ...]:
    """Nine copies of every node execution, for a unit of a million rows."""
    secondary = (
        "workflow_node_execution_node_run_idx",
        "workflow_node_execution_id_idx",
        "workflow_node_executions_tenant_id_idx",
        "workflow_node_execution_workflow_run_id_idx",
        "bench_keyset",
    )
    return (
        f"DROP INDEX {', '.join(secondary)}",
        f"INSERT INTO {_NODES} ({_names('id')})"
        f" SELECT gen_random_uuid(), {_columns(without=('id',))}"
        f" FROM generate_series(1, 9) AS g(copy), {_NODES} AS n",
        _KEYSET_INDEX,
    )


OTHERS = 7
"""Tenants with as many node executions each as the one whose rows leave."""


def _scanned() -> tuple[str, ...]:
    """Rows of other tenants; nothing is found by its run any more."""
    gone = (
        "workflow_run_created_at_id_idx",
        "workflow_app_log_workflow_run_id_idx",
        "workflow_node_execution_workflow_run_id_idx",
        "workflow_trigger_log_workflow_run_idx",
    )
    own = ("id", "tenant_id", "workflow_run_id")
    return (
        f"DROP INDEX {', '.join(gone)}",
        f"INSERT INTO {_NODES} ({_names(*own)})"
        " SELECT gen_random_uuid(), md5('tenant ' || g.copy)::uuid,"
        f" md5(n.workflow_run_id::text || g.copy)::uuid, {_columns(without=own)}"
        f" FROM generate_series(1, {OTHERS}) AS g(copy), {_NODES} AS n",
    )


def _wide(settings: Settings) -> tuple[str, ...]:
    """A tenant of 2,000 rows, 100 consecutive ones of 5 MB."""
    rows = settings.amount(WIDE_ROWS, least=200)
    large = settings.amount(WIDE_LARGE, least=10)
    size = settings.amount(WIDE_BYTES, least=50_000)
    first = rows // 2
    own = ("id", "tenant_id", "created_at", "outputs")
    return (
        f"CREATE TABLE filler AS SELECT left(string_agg(outputs, ' '), {size}) AS text"
        f" FROM (SELECT outputs FROM {_NODES} WHERE outputs IS NOT NULL LIMIT {size // 50}) AS o",
        f"INSERT INTO {_NODES} ({_names(*own)})"
        f" SELECT gen_random_uuid(), '{WIDE_TENANT}',"
        " timestamp '2025-01-10' + i * interval '1 second',"
        f" CASE WHEN i BETWEEN {first} AND {first + large - 1}"
        " THEN '{\"text\": ' || to_json(filler.text)::text || '}' ELSE n.outputs END,"
        f" {_columns(without=own)}"
        f" FROM (SELECT o.*, row_number() OVER () AS i FROM {_NODES} AS o LIMIT {rows}) AS n,"
        " filler",
        "DROP TABLE filler",
    )


_MANY = (
    "INSERT INTO workflow_runs (id, tenant_id, app_id, workflow_id, type, triggered_from, version,"
    " graph, inputs, status, outputs, elapsed_time, total_tokens, total_steps, created_by_role,"
    " created_by, created_at, finished_at)"
    " SELECT gen_random_uuid(), t.id, t.id, t.id, 'workflow', 'app-run', '1', '{}', '{}',"
    " 'succeeded', '{}', 1.5, 100, 4, 'account', t.id, at, at + interval '9 seconds'"
    " FROM (SELECT tenant.*, timestamp '2025-01-01' + m * interval '1 month'"
    "   + k * interval '5 days' + n * interval '1 minute' AS at"
    "   FROM tenant, generate_series(0, 11) AS month(m), generate_series(1, 4) AS run(k)) AS t"
    " ORDER BY at",
    "INSERT INTO workflow_app_logs (id, tenant_id, app_id, workflow_id, workflow_run_id,"
    " created_from, created_by_role, created_by, created_at)"
    " SELECT gen_random_uuid(), tenant_id, app_id, workflow_id, id, 'web-app', 'account',"
    " created_by, finished_at FROM workflow_runs ORDER BY created_at",
    'INSERT INTO workflow_node_executions (id, tenant_id, app_id, workflow_id, "index",'
    " triggered_from, workflow_run_id, node_id, node_type, title, inputs, outputs, status,"
    " elapsed_time, created_by_role, created_by, created_at, finished_at)"
    " SELECT gen_random_uuid(), tenant_id, app_id, workflow_id, i, 'workflow-run', id, 'node',"
    " 'code', 'Step', '{}', '{}', 'succeeded', 0.5, 'account', created_by,"
    " created_at + i * interval '1 second', created_at + i * interval '2 seconds'"
    " FROM workflow_runs, generate_series(1, 4) AS node(i) ORDER BY created_at",
)
