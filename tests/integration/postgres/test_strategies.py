"""Whichever way rows are read, the same rows arrive, and a broken-off read goes on."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Interrupted
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.ports import TimeRange
from airflow_provider_logmigrate.core.stream import Parent, SettledBy, SettledWithParent
from airflow_provider_logmigrate.core.unit import Period
from airflow_provider_logmigrate.core.watermark import Watermark
from airflow_provider_logmigrate.stores.postgres import by_parent, read
from airflow_provider_logmigrate.streams import dify as dify_pack
from tests.integration.postgres.conftest import SampleDatabase
from tests.integration.postgres.rig import (
    FEBRUARY,
    JANUARY,
    Reading,
    Rig,
    execute,
    own_stream,
    utc,
)

RUNS, APP_LOGS, NODES, OFFLOAD = dify_pack.streams()
STRATEGIES = pytest.mark.parametrize("strategy", list(ReadStrategy))
_EXACT = (ReadStrategy.KEYSET, ReadStrategy.BY_KEY)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many boundaries in little data."""
    monkeypatch.setattr(read, "PARENTS_PER_BATCH", 3)
    monkeypatch.setattr(read, "ROWS_PER_KEY_PAGE", 40)
    monkeypatch.setattr(read, "KEYS_PER_SCAN", 90)
    monkeypatch.setattr(by_parent, "PARENTS_PER_SCAN", 7)


def test_every_strategy_delivers_exactly_the_settled_rows(dify: SampleDatabase) -> None:
    rig = Rig(dify.dsn, *dify_pack.streams(), page_rows=130, chunk_bytes=200_000)
    units = [key for key in dify.counts.units if key[0] in rig.found]
    assert len(units) > 10
    for table, tenant, month in units:
        period = Period.from_label(month)
        strategies = _EXACT if rig.found[table].shape.stream.parent is None else ReadStrategy
        delivered = []
        for strategy in strategies:
            reading = rig.read(rig.plan(table, tenant, period, strategy=strategy))
            delivered.append({key: (d.print, d.source) for key, d in reading.by_key().items()})
            assert [chunk.sequence for chunk in reading.chunks] == [*range(len(reading.chunks))]
        unit = dify.counts.units[table, tenant, month]
        rule = rig.found[table].shape.stream.settled
        assert len(delivered[0]) == (unit.settled if rule else unit.rows)
        assert all(found == delivered[0] for found in delivered)


@STRATEGIES
def test_rows_come_in_the_cursors_order(new_dify: SampleDatabase, strategy: ReadStrategy) -> None:
    rig = Rig(new_dify.dsn, NODES, page_rows=90, chunk_bytes=50_000)
    reading = rig.read(rig.plan("workflow_node_executions", new_dify.tenant, strategy=strategy))
    cursors = [(c.cursor.event_time, c.cursor.key) for c in reading.chunks if c.cursor]
    assert len(cursors) > 5
    kinds = [at.split(" ")[0] for at, _ in cursors if at.startswith(("parents", "orphans"))]
    assert kinds == sorted(kinds, reverse=True)
    if strategy in _EXACT:
        assert len(cursors) == len(reading.chunks)
        documents = reading.documents
        order = [(d.source["created_at"], d.key) for d in documents]
        assert order == sorted(order)


def _safe_cursors(reading: Reading) -> list[Cursor | None]:
    """Where a copy stands when each chunk, and nothing after it, is acknowledged."""
    watermark, found = Watermark(), []
    for chunk in reading.chunks:
        watermark.settle(chunk.sequence, chunk.cursor, Counters(read=chunk.count))
        found.append(watermark.cursor)
    return found


@STRATEGIES
def test_a_read_goes_on_behind_every_chunk(
    new_dify: SampleDatabase, strategy: ReadStrategy
) -> None:
    rig = Rig(new_dify.dsn, NODES, page_rows=75, chunk_bytes=60_000)
    plan = rig.plan("workflow_node_executions", new_dify.tenant, strategy=strategy)
    whole = rig.read(plan)
    assert len(whole.chunks) > 5
    everything = set(whole.keys)
    done: list[str] = []
    since_cursor: list[str] = []
    for chunk, cursor in zip(whole.chunks, _safe_cursors(whole), strict=True):
        done += chunk.keys
        since_cursor += chunk.keys
        if chunk.cursor is not None:
            since_cursor = []
        rest = rig.read(plan, after=cursor).keys
        assert set(done) | set(rest) == everything
        assert max(Counter(rest).values(), default=1) == 1
        assert set(done) & set(rest) == set(since_cursor)
        if strategy in _EXACT:
            assert not since_cursor


@STRATEGIES
def test_an_interrupted_read_ends_at_once_and_leaves_no_connection(
    new_dify: SampleDatabase, strategy: ReadStrategy
) -> None:
    rig = Rig(new_dify.dsn, NODES, page_rows=50, chunk_bytes=100_000)
    plan = rig.plan("workflow_node_executions", new_dify.tenant, strategy=strategy)
    stop, reading = Stop(), Reading()

    def interrupt(chunk: Chunk) -> None:
        if chunk.sequence == 2:
            stop.set("SIGTERM")
            stop.check("here")

    with pytest.raises(Interrupted):
        rig.read(plan, on_chunk=interrupt, stop=stop, into=reading)
    assert len(reading.chunks) == 3
    with pytest.raises(Interrupted):
        rig.read(plan, stop=stop, into=Reading())
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'logmigrate'"
    for _ in range(100):
        if execute(new_dify.dsn, left + " AND datname = current_database()") == [(0,)]:
            break
    else:
        raise AssertionError("a connection is left")


def test_a_cursor_of_another_strategy_loses_nothing(new_dify: SampleDatabase) -> None:
    """An index was built (or dropped) between two attempts: the rows of the rest still arrive."""
    rig = Rig(new_dify.dsn, NODES, page_rows=75, chunk_bytes=400_000)
    plans = {
        strategy: rig.plan("workflow_node_executions", new_dify.tenant, strategy=strategy)
        for strategy in ReadStrategy
    }
    readings = {strategy: rig.read(plan) for strategy, plan in plans.items()}
    for before, reading in readings.items():
        middle = len(reading.chunks) // 2
        cursor = _safe_cursors(reading)[middle]
        assert cursor is not None
        done = {key for chunk in reading.chunks[: middle + 1] for key in chunk.keys}
        for later, plan in plans.items():
            rest = rig.read(plan, after=cursor).keys
            assert done | set(rest) == set(reading.keys), (before, later)


def test_ranges_are_read_one_after_another(new_dify: SampleDatabase) -> None:
    rig = Rig(new_dify.dsn, RUNS, page_rows=7)
    plan = rig.plan("workflow_runs", new_dify.tenant)
    times = {d.key: d.source["created_at"] for d in rig.read(plan).documents}
    parts = [
        TimeRange(utc(2025, 1, 1), utc(2025, 1, 3)),
        TimeRange(utc(2025, 1, 10), utc(2025, 1, 10, 1)),
        TimeRange(utc(2025, 1, 20), utc(2025, 1, 29, 12)),
        TimeRange(utc(2025, 1, 31, 23), utc(2025, 2, 1)),
    ]
    wanted = {
        key
        for key, at in times.items()
        if any(p.start.isoformat() <= at < p.end.isoformat() for p in parts)
    }
    assert 0 < len(wanted) < len(times)
    for strategy in _EXACT:
        plan = rig.plan("workflow_runs", new_dify.tenant, strategy=strategy)
        reading = rig.read(plan, ranges=parts)
        assert set(reading.by_key()) == wanted
        assert reading.chunks[-1].cursor is not None


def test_a_repair_finds_children_that_no_parent_leads_to(database: str) -> None:
    """Parent deleted, parent of another tenant, child written long after its parent's end."""
    execute(
        database,
        "CREATE TABLE runs (id int PRIMARY KEY, tenant text, at timestamp, ended timestamp,"
        " status text)",
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, run int, s text)",
        "CREATE INDEX ON events (run)",
        "INSERT INTO runs VALUES (1, 't', '2024-11-30', '2024-12-31 12:00', 'done'),"
        " (2, 't', '2025-01-31', NULL, 'done'), (3, 't', '2024-01-01', '2024-01-02', 'done'),"
        " (4, 'u', '2025-01-05', '2025-01-05', 'done'), (5, 't', '2025-01-05', NULL, 'running')",
        "INSERT INTO events VALUES (10, 't', '2025-01-01', 1, 'open'),"  # crossed the month
        " (11, 't', '2025-01-31 23:59:59.999999', 2, 'open'), (12, 't', '2025-02-01', 2, 'done'),"
        " (20, 't', '2025-01-10', 3, 'open'), (21, 't', '2025-01-10', 4, 'open'),"
        " (22, 't', '2025-01-10', 99, 'open'),"  # no parent leads here
        " (30, 't', '2025-01-10', NULL, 'done'), (31, 't', '2025-01-10', NULL, 'open'),"
        " (40, 't', '2025-01-10', 5, 'done'), (50, 'u', '2025-01-10', 1, 'done')",
    )
    ended = SettledBy("status", ("done",))
    stream = own_stream(
        parent=Parent("runs", "id", "run", "at", "ended"),
        settled=SettledWithParent("run", "runs", "id", ended, SettledBy("s", ("done",))),
    )
    rig = Rig(database, stream)
    plan = rig.plan("events", "t")
    assert plan.strategy is ReadStrategy.BY_PARENT
    led = {"10", "11", "30"}
    lost = {"20", "21", "22"}
    assert set(rig.read(plan).by_key()) == led
    assert set(rig.read(plan, repair=True).by_key()) == led | lost
    summary = rig.source.summarise(plan, upper=JANUARY.end)
    assert summary.total.count == len(led | lost)
    assert summary.held_back == 2
    for strategy in _EXACT:
        forced = rig.plan("events", "t", strategy=strategy)
        assert set(rig.read(forced).by_key()) == led | lost
    assert set(rig.read(rig.plan("events", "t", FEBRUARY)).by_key()) == {"12"}


@STRATEGIES
def test_orphans_resume_where_they_broke_off(database: str, strategy: ReadStrategy) -> None:
    execute(
        database,
        "CREATE TABLE runs (id int PRIMARY KEY, tenant text, at timestamp, ended timestamp)",
        "INSERT INTO runs VALUES (1, 't', '2025-01-02', '2025-01-03')",
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, run int)",
        "INSERT INTO events SELECT n, 't', '2025-01-02'::timestamp + n * '1 s'::interval,"
        " CASE WHEN n < 5 THEN 1 END FROM generate_series(1, 100) n",
    )
    stream = own_stream(parent=Parent("runs", "id", "run", "at", "ended"))
    rig = Rig(database, stream, forced=strategy, chunk_bytes=1_000)
    plan = rig.plan("events", "t")
    whole = rig.read(plan)
    half = whole.chunks[len(whole.chunks) // 2]
    assert half.cursor is not None
    done = [key for chunk in whole.chunks[: half.sequence + 1] for key in chunk.keys]
    rest = rig.read(plan, after=half.cursor).keys
    assert sorted(done + rest) == sorted(whole.keys)
    assert len(whole.keys) == 100


@pytest.mark.parametrize("strategy", _EXACT)
def test_rows_with_equal_times_are_told_apart_by_key(database: str, strategy: ReadStrategy) -> None:
    execute(
        database,
        "CREATE TABLE events (id text PRIMARY KEY, tenant text, at timestamptz)",
        "INSERT INTO events SELECT chr(33 + n % 90) || n, 't', '2025-01-05 01:02:03.000001+00'"
        " FROM generate_series(1, 300) n",
        "CREATE INDEX ON events (tenant, at, id)",
    )
    rig = Rig(database, own_stream(), forced=strategy, page_rows=7, chunk_bytes=700)
    plan = rig.plan("events", "t")
    whole = rig.read(plan)
    assert len(whole.by_key()) == 300
    for chunk in whole.chunks[::5]:
        rest = rig.read(plan, after=chunk.cursor).keys
        done = [key for c in whole.chunks[: chunk.sequence + 1] for key in c.keys]
        assert done + rest == whole.keys


def test_versions_never_go_back(new_dify: SampleDatabase) -> None:
    rig = Rig(new_dify.dsn, NODES, page_rows=40, chunk_bytes=100_000)
    last = 0
    (begun,) = execute(new_dify.dsn, "SELECT extract(epoch FROM clock_timestamp()) * 1e6")[0]
    for strategy in (*ReadStrategy, *ReadStrategy):
        reading = rig.read(rig.plan("workflow_node_executions", new_dify.tenant, strategy=strategy))
        versions = [document.version for document in reading.documents]
        assert versions == sorted(versions)
        assert versions[0] > last
        last = versions[-1]
    (ended,) = execute(new_dify.dsn, "SELECT extract(epoch FROM clock_timestamp()) * 1e6")[0]
    assert begun < last < ended
