"""The SQL of the documentation runs, and does what is said, on a real PostgreSQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg2
import pytest

from airflow_provider_logmigrate.core.errors import SourceUnavailable, SourceUnsuitable
from airflow_provider_logmigrate.core.plan import ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.purge_scope import scope_of
from airflow_provider_logmigrate.core.stream import Stream
from airflow_provider_logmigrate.core.unit import Period, Unit
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.stores.postgres.preflight import Preflight, preflight
from airflow_provider_logmigrate.stores.postgres.purge_tables import look_up, obstacles
from airflow_provider_logmigrate.stores.postgres.session import PostgresEndpoint, Sessions
from airflow_provider_logmigrate.stores.postgres.source import PostgresSource
from airflow_provider_logmigrate.stores.search import summary
from airflow_provider_logmigrate.stores.search.client import SearchClient
from airflow_provider_logmigrate.stores.search.endpoint import Endpoint, Engine
from airflow_provider_logmigrate.streams.dify import streams
from devstack.sampledata import PROFILES, DifySchema
from devstack.sampledata.load import load
from devstack.sampledata.schema import create_schema
from tests.docs.pages import PAGES, page

TENANT_SHOWN = "3f2b8c1e-5d0a-4c8e-9a51-0f6f7d9f0c11"
JANUARY = Period.from_label("2025-01")


def _sql(note: str) -> list[str]:
    return [b.text for each in PAGES for b in each.of("sql") if b.note == f"sql: {note}"]


def _run(dsn: str, script: str) -> list[tuple[Any, ...]]:
    """Statement by statement, each in a transaction of its own; rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in re.split(r";\s*\n", script.strip().removesuffix(";")):
                cursor.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
    return rows


def _as_user(dsn: str, user: str, password: str) -> Sessions:
    parts = urlsplit(dsn)
    return Sessions(
        PostgresEndpoint(
            host=parts.hostname or "",
            port=parts.port or 5432,
            user=user,
            password=password,
            dbname=parts.path.lstrip("/"),
        )
    )


def _as_owner(dsn: str) -> Sessions:
    parts = urlsplit(dsn)
    return _as_user(dsn, unquote(parts.username or ""), unquote(parts.password or ""))


@pytest.fixture
def dify(database: str) -> str:
    """A database with Dify's tables, empty."""
    with closing(psycopg2.connect(database)) as connection:
        create_schema(connection, DifySchema.NEW)
    return database


@pytest.fixture
def without_roles(database: str) -> Iterator[None]:
    """Roles outlive a database: take away those that the documentation makes."""
    yield
    for role in ("logmigrate_reader", "logmigrate_purger", "logmigrate"):
        if _run(database, f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            _run(database, f"DROP OWNED BY {role};\nDROP ROLE {role};")


def test_every_block_of_sql_says_where_it_runs() -> None:
    notes = {block.note for each in PAGES for block in each.of("sql")}

    assert notes == {
        "sql: source",
        "sql: source, summary",
        "sql: source, administrator",
        "sql: source, purge",
        "sql: source, concurrently",
        "sql: ledger",
        "sql: ledger, administrator",
    }


def test_queries_on_the_source_run(dify: str) -> None:
    for script in _sql("source"):
        assert _run(dify, script) == []


def test_queries_on_the_ledger_run(database: str) -> None:
    with Ledger(database, who="test") as ledger:
        ledger.check()

    for script in _sql("ledger"):
        assert _run(database, script) == []


@pytest.mark.usefixtures("without_roles")
def test_the_reading_role_can_read_all_streams_and_write_nothing(dify: str) -> None:
    (script,) = _sql("source, administrator")
    _run(dify, script)
    reader = _as_user(dify, "logmigrate_reader", "change-me")

    found = [preflight(reader, stream) for stream in streams()]

    assert all(found)
    with pytest.raises((SourceUnsuitable, SourceUnavailable)):
        reader.run(lambda c: c.cursor().execute("DELETE FROM workflow_runs"))
    with pytest.raises((SourceUnsuitable, SourceUnavailable)):
        reader.run(lambda c: c.cursor().execute("CREATE TABLE mine (id int)"))


@pytest.mark.usefixtures("without_roles")
def test_the_purging_role_may_delete_all_that_goes_together(dify: str) -> None:
    (script,) = _sql("source, purge")
    _run(dify, script)
    purger = _as_user(dify, "logmigrate_purger", "change-me")
    found = [preflight(purger, stream) for stream in streams()]
    shapes = {look.shape.stream.name: look.shape for look in found if look is not None}
    runs = shapes["workflow_runs"].stream
    names = [runs.table, *(d.table for d in runs.dependents), *(r.table for r in runs.references)]
    existing = look_up(purger, names).facts
    scope = scope_of(runs, copied=shapes, existing=existing, follows_content=True)

    assert set(names) == set(existing)
    assert obstacles(purger, scope) == ([], [])
    _run(dify, "REVOKE DELETE ON workflow_pauses FROM logmigrate_purger")
    _run(dify, "REVOKE UPDATE ON workflow_runs FROM logmigrate_purger")
    forbidding, _ = obstacles(purger, scope)
    assert forbidding == [
        "the login may not lock rows of workflow_runs, which takes UPDATE",
        "the login may not delete from workflow_pauses",
    ]


@pytest.mark.usefixtures("without_roles")
def test_the_ledgers_role_can_make_the_ledger(database: str) -> None:
    (script,) = _sql("ledger, administrator")
    _run(database, script)
    parts = urlsplit(database)
    address = f"postgresql://logmigrate:change-me@{parts.hostname}:{parts.port}{parts.path}"

    with Ledger(address, who="test") as ledger:
        assert ledger.check()
        assert ledger.units.begin_attempt() > 0


def test_the_indexes_make_the_reads_go_along_them(dify: str) -> None:
    sessions = _as_owner(dify)
    (script,) = _sql("source, concurrently")
    tables = {"workflow_app_logs", "workflow_node_executions", "workflow_runs"}

    def strategies() -> dict[str, tuple[ReadStrategy, str]]:
        found = {s.name: preflight(sessions, s) for s in streams() if s.name in tables}
        return {name: (f.strategy, f.reason) for name, f in found.items() if f}

    before = strategies()
    _run(dify, script)
    after = strategies()

    assert before["workflow_app_logs"][0] is ReadStrategy.BY_KEY
    assert before["workflow_node_executions"][0] is ReadStrategy.BY_PARENT
    assert {name: strategy for name, (strategy, _) in after.items()} == dict.fromkeys(
        tables, ReadStrategy.KEYSET
    )
    assert all("tenant_id, created_at, id" in reason for _, reason in after.values())


def _source(dsn: str, stream: Stream) -> PostgresSource:
    sessions = _as_owner(dsn)
    found = preflight(sessions, stream)
    assert isinstance(found, Preflight)
    return PostgresSource(sessions, {stream.name: found})


def test_the_sums_made_by_hand_are_those_of_a_certificate(database: str, tmp_path: Path) -> None:
    """The page's statement against the one a proof runs, over rows with every odd value."""
    profile = replace(PROFILES["test"], runs_per_month=20)
    load(database, profile, DifySchema.NEW, tmp_path)
    runs = streams()[0]
    unit = Unit(runs.name, profile.tenant_ids[0], JANUARY)
    plan = UnitPlan(
        unit=unit,
        alias="a",
        tenant_alias="t",
        index="a-v1",
        definition="d",
        strategy=ReadStrategy.KEYSET,
        strategy_reason="",
    )
    proven = _source(database, runs).summarise(plan, upper=JANUARY.end).total

    (script,) = _sql("source, summary")
    assert script.count(TENANT_SHOWN) == 1
    by_hand = _run(database, script.replace(TENANT_SHOWN, unit.tenant))

    assert by_hand == [(proven.count, proven.high, proven.low)]
    assert proven.count > 20


class _Answering:
    """Takes the one request and answers as an empty index does."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def send(
        self,
        method: str,
        path: str,
        params: object,
        body: bytes | None,
        content_type: str,
        timeout: float | None,
        parse: object,
    ) -> tuple[int, Any]:
        self.sent.append((path, json.loads(body or b"{}")))
        return 200, {
            "timed_out": False,
            "_shards": {"failed": 0},
            "hits": {"total": {"value": 0}},
            "aggregations": {"hours": {"buckets": []}, "newest": {"value": None}},
        }

    def close(self) -> None:
        pass


def test_the_search_made_by_hand_is_the_one_a_proof_sends() -> None:
    (shown,) = page("docs/concepts/proof.md").of("json")
    wire = _Answering()
    endpoint = Endpoint(engine=Engine.OPENSEARCH, hosts=("http://127.0.0.1:9",))

    summary.summarise(SearchClient(endpoint, wire=wire), "some-index-v1", streams()[0])

    assert wire.sent == [("/some-index-v1/_search", json.loads(shown.text))]


def test_the_page_compares_up_to_the_end_of_the_month_it_shows() -> None:
    (script,) = _sql("source, summary")

    assert f"created_at >= '{JANUARY.start:%Y-%m-%d}'" in script
    assert f"created_at < '{JANUARY.end:%Y-%m-%d}'" in script
    assert JANUARY.end == datetime(2025, 2, 1, tzinfo=timezone.utc)
