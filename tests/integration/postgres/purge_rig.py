"""Runs with steps and notes in a real database, a real ledger, and an index played by a dictionary.

The dictionary is what a copy at the time of :meth:`PurgeRig.copy` would have written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg2
from psycopg2 import sql

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.clock import Stop, SystemClock
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.plan import ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.purge import PurgeUnit
from airflow_provider_logmigrate.core.purge_ports import (
    DeletionLog,
    Print,
    PurgeSource,
    StoredObject,
)
from airflow_provider_logmigrate.core.purge_run import PurgeOutcome, purge_unit
from airflow_provider_logmigrate.core.purge_scope import Scope, scope_of
from airflow_provider_logmigrate.core.stream import (
    Dependent,
    SettledBy,
    SettledWithParent,
    Stream,
)
from airflow_provider_logmigrate.core.unit import Period, Unit, month_of
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.stores.postgres.purge import PostgresPurge
from airflow_provider_logmigrate.stores.postgres.purge_tables import look_up
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from tests.integration.postgres.rig import Rig, execute
from tests.unit.core.building import certified

MIGRATION, TENANT, OTHER = "logs", "acme", "beta"
TABLES = ("runs", "steps", "notes")

SCHEMA = """
CREATE TABLE runs (id text PRIMARY KEY, tenant text NOT NULL, at timestamptz NOT NULL,
    state text NOT NULL, body text);
CREATE TABLE steps (id text PRIMARY KEY, run text, tenant text NOT NULL, at timestamptz NOT NULL,
    state text NOT NULL, body text);
CREATE TABLE notes (id text PRIMARY KEY, run text NOT NULL, note text NOT NULL);
CREATE INDEX ON notes (run);
"""
PARTITIONED = """
CREATE TABLE runs (id text NOT NULL, tenant text NOT NULL, at timestamptz NOT NULL,
    state text NOT NULL, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE runs_jan PARTITION OF runs
    FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00');
CREATE TABLE runs_rest PARTITION OF runs FOR VALUES FROM ('2025-02-01 00:00+00') TO (MAXVALUE);
CREATE TABLE steps (id text NOT NULL, run text, tenant text NOT NULL, at timestamptz NOT NULL,
    state text NOT NULL, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE steps_jan PARTITION OF steps
    FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00');
CREATE TABLE steps_rest PARTITION OF steps DEFAULT;
CREATE TABLE notes (id text PRIMARY KEY, run text NOT NULL, note text NOT NULL);
CREATE INDEX ON notes (run);
"""
FILL = """
INSERT INTO runs SELECT t || n, t, timestamptz '2025-01-01 00:00+00' + n * interval '1 hour',
    CASE WHEN n %% 10 = 7 THEN 'running' ELSE 'done' END, repeat('run ', n)
    FROM generate_series(0, %(runs)s - 1) AS n, unnest(ARRAY['acme', 'beta']) AS t;
INSERT INTO runs SELECT 'feb' || n, 'acme', timestamptz '2025-02-01 00:00+00', 'done', 'later'
    FROM generate_series(0, 2) AS n;
INSERT INTO steps SELECT id || '.' || k, id, tenant, at + k * interval '20 minutes', 'done',
    'step ' || k FROM runs, generate_series(0, 2) AS k;
INSERT INTO steps SELECT 'single' || n, NULL, 'acme',
    timestamptz '2025-01-20 00:00+00', CASE n WHEN 0 THEN 'running' ELSE 'done' END, 'single'
    FROM generate_series(0, 3) AS n;
INSERT INTO notes SELECT 'note ' || id, id, 'kept' FROM runs WHERE id LIKE '%%5';
"""

RUNS = Stream(
    name="runs",
    slug="runs",
    table="runs",
    key="id",
    event_time="at",
    tenant_column="tenant",
    settled=SettledBy("state", ("done",)),
    dependents=(
        Dependent(table="notes", key="id", column="run", of="runs", of_column="id", keep=True),
    ),
)
STEPS = Stream(
    name="steps",
    slug="steps",
    table="steps",
    key="id",
    event_time="at",
    tenant_column="tenant",
    settled=SettledWithParent(
        foreign_key="run",
        parent_table="runs",
        parent_key="id",
        parent=SettledBy("state", ("done",)),
        own=SettledBy("state", ("done",)),
    ),
)


def unit_plan(stream: str, label: str = "2025-01", tenant: str = TENANT) -> UnitPlan:
    unit = Unit(stream, tenant, Period.from_label(label))
    return UnitPlan(
        unit=unit,
        alias=f"{stream}-{label}",
        tenant_alias=stream,
        index=f"{stream}-{label}-v1",
        definition=f"definition of {stream}",
        strategy=ReadStrategy.BY_KEY,
        strategy_reason="",
    )


RUNS_UNIT = unit_plan("runs")
STEPS_UNITS = (unit_plan("steps"), unit_plan("steps", "2025-02"))


def certificate(
    plan: UnitPlan, verdict: Verdict = Verdict.EQUAL, *, number: int = 1
) -> Certificate:
    return certified(plan, verdict, id=f"{plan.key} {number}")


def purge_plan_unit(root: UnitPlan, *along: UnitPlan) -> PurgeUnit:
    return PurgeUnit(
        plan=root,
        along=along,
        certificates={plan.key: certificate(plan).id for plan in (root, *along)},
    )


@dataclass
class Documents:
    """Plays the index. :ivar prints: by stream and key."""

    prints_of: dict[tuple[str, str], Print] = field(default_factory=dict)

    def proof(self, plan: UnitPlan, keys: Sequence[str]) -> Bucket:
        found = self.prints(plan, keys).values()
        return sum((Bucket(1, high, low) for high, low in found), EMPTY)

    def prints(self, plan: UnitPlan, keys: Sequence[str]) -> Mapping[str, Print]:
        stream = plan.unit.stream
        return {key: p for key in keys if (p := self.prints_of.get((stream, key))) is not None}

    def holds(self, plan: UnitPlan, item: StoredObject, content: bytes) -> bool:
        return False


class PurgeRig:
    """Everything a purge needs.

    :param indexed: steps are found by their run.
    :param schema: makes the tables.
    """

    def __init__(
        self,
        source: str,
        ledger: str,
        *,
        indexed: bool = True,
        runs: int = 40,
        schema: str = SCHEMA,
    ) -> None:
        self.dsn = source
        self.ledger = Ledger(ledger, who="a test")
        self.documents = Documents()
        if runs:
            execute(source, schema, (FILL, {"runs": runs}))  # type: ignore[arg-type]
            if indexed:
                execute(source, "CREATE INDEX ON steps (run)")
            execute(source, "ANALYZE")
        self.rig = Rig(source, RUNS, STEPS)
        self.rows = {
            name: RowSql(found.shape, not_null=found.facts.not_null)
            for name, found in self.rig.found.items()
        }
        self.tables = look_up(self.rig.sessions, TABLES)
        shapes = {name: rows.shape for name, rows in self.rows.items()}
        self.scopes: dict[str, Scope] = {
            stream.name: scope_of(
                stream, copied=shapes, existing=self.tables.facts, follows_content=False
            )
            for stream in (RUNS, STEPS)
        }
        self.source = PostgresPurge(self.rig.sessions, self.rows, self.tables, period_of=period_of)
        for plan in (RUNS_UNIT, *STEPS_UNITS):
            self.ledger.certificates.save(MIGRATION, certificate(plan))

    def copy(self) -> None:
        """Make documents of every row as it is now."""
        for stream, rows in self.rows.items():
            query = sql.SQL("SELECT id, {} FROM {}").format(rows.fingerprint, rows.table)
            with closing(psycopg2.connect(self.dsn)) as connection:
                cursor = connection.cursor()
                cursor.execute(query)
                for key, print_ in cursor.fetchall():
                    halves = int(print_[:8], 16), int(print_[8:16], 16)
                    self.documents.prints_of[stream, key] = halves

    def claim(self, unit: PurgeUnit) -> int:
        attempt = self.ledger.units.begin_attempt()
        self.ledger.units.claim(MIGRATION, unit.plan, attempt=attempt, holder="a test")
        return attempt

    def purge(
        self,
        unit: PurgeUnit,
        *,
        before_batch: Callable[[], None] = lambda: None,
        source: PurgeSource | None = None,
        log: Callable[[DeletionLog], DeletionLog] = lambda log: log,
        attempt: int | None = None,
        stop: Stop | None = None,
        sessions: int = 2,
    ) -> PurgeOutcome:
        attempt = self.claim(unit) if attempt is None else attempt
        return purge_unit(
            unit,
            self.scopes[unit.plan.unit.stream],
            source=source or self.source,
            target=self.documents,
            objects=None,
            log=log(self.ledger.deletions.attempt(MIGRATION, unit, plan_hash="p", attempt=attempt)),
            clock=SystemClock(),
            stop=stop or Stop(),
            sessions=sessions,
            before_batch=before_batch,
        )

    def rows_now(self) -> dict[str, dict[str, str]]:
        return {
            table: dict(execute(self.dsn, f"SELECT id, row_to_json(t)::text FROM {table} AS t"))
            for table in TABLES
        }

    def counted(self, unit: PurgeUnit) -> dict[str, int]:
        """What the ledger says left, by table."""
        return self.ledger.deletions.counts(MIGRATION, unit.key)

    def purge_open(self) -> int:
        """Batches of January's runs whose end the ledger doesn't know."""
        unit = purge_plan_unit(RUNS_UNIT)
        attempt = self.claim(unit)
        return len(
            self.ledger.deletions.attempt(MIGRATION, unit, plan_hash="p", attempt=attempt).open()
        )

    def close(self) -> None:
        self.source.close()
        self.ledger.close()
        self.rig.sessions.close()


def period_of(moment: datetime) -> Period:
    return month_of(moment)


def whole_runs(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """What a purge of January's runs of acme has to take, found by their names."""
    runs = {
        key
        for key in rows["runs"]
        if key.startswith("acme") and int(key.removeprefix("acme")) % 10 != 7
    }
    return {
        "runs": runs,
        "steps": {key for key in rows["steps"] if key.partition(".")[0] in runs},
        "notes": {key for key in rows["notes"] if key.removeprefix("note ") in runs},
    }
