"""A read that breaks off in the middle goes on: nothing is lost, and nothing comes twice where
rows have an order. The faults are real: ended backends, cancelled queries, cut connections.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import psycopg2
import pytest

from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.ports import KeyPrint
from airflow_provider_logmigrate.core.stream import Parent
from devstack.postgres import PostgresServer
from tests.integration.postgres.relay import Relay
from tests.integration.postgres.rig import JANUARY, QUICK, Reading, Rig, execute, own_stream

ROWS = 400
STREAM = own_stream(parent=Parent("runs", "id", "run", "at", "ended"))
STRATEGIES = pytest.mark.parametrize("strategy", list(ReadStrategy))
_OURS = (
    "SELECT {}(pid) FROM pg_stat_activity WHERE application_name = 'logmigrate'"
    " AND datname = current_database()"
)


@pytest.fixture
def events(database: str) -> str:
    """8 MB that don't compress: more than fits between a backend and a reader that waits."""
    execute(
        database,
        "CREATE TABLE runs (id int PRIMARY KEY, tenant text, at timestamp, ended timestamp)",
        "INSERT INTO runs SELECT n, 't', '2025-01-02'::timestamp + n * '1 h'::interval,"
        " '2025-01-31' FROM generate_series(0, 99) n",
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, run int, v text)",
        "INSERT INTO events SELECT n, 't', '2025-01-03'::timestamp + n * '1 min'::interval, n / 4,"
        " (SELECT string_agg(md5((n * 1000 + k)::text), '') FROM generate_series(1, 640) k)"
        f" FROM generate_series(0, {ROWS - 1}) n",
        "CREATE INDEX ON events (tenant, at, id)",
    )
    return database


def _break(dsn: str, function: str, *, on: Callable[[Chunk], bool]) -> Callable[[Chunk], None]:
    """Ends or cancels the reading backend when a chunk arrives."""

    def on_chunk(chunk: Chunk) -> None:
        if on(chunk):
            assert execute(dsn, _OURS.format(function))
            time.sleep(0.02)  # what the backend sent before is still on its way

    return on_chunk


@STRATEGIES
@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_broken_copy_goes_on(events: str, strategy: ReadStrategy, function: str) -> None:
    rig = Rig(events, STREAM, forced=strategy, chunk_bytes=100_000)
    plan = rig.plan("events", "t")
    reading = rig.read(
        plan, on_chunk=_break(events, function, on=lambda chunk: chunk.sequence in (3, 30))
    )
    times = Counter(reading.keys)
    assert set(times) == {str(n) for n in range(ROWS)}
    if strategy is not ReadStrategy.BY_PARENT:
        assert max(times.values()) == 1
    assert sum(times.values()) <= ROWS + 2 * 200
    versions: dict[str, int] = {}
    for document in reading.documents:
        assert document.version >= versions.get(document.key, 0)
        versions[document.key] = document.version


@pytest.mark.parametrize("strategy", [ReadStrategy.KEYSET, ReadStrategy.BY_KEY])
def test_retries_are_only_used_up_without_progress(events: str, strategy: ReadStrategy) -> None:
    """A replica under load cancels query after query; each one got further."""
    failures = 4 * QUICK.attempts
    rig = Rig(events, STREAM, forced=strategy, chunk_bytes=100_000)
    reading = rig.read(
        rig.plan("events", "t"),
        on_chunk=_break(events, "pg_cancel_backend", on=lambda c: 0 < c.sequence <= failures),
    )
    assert sorted(map(int, reading.keys)) == list(range(ROWS))


def test_a_slow_target_outlives_the_statement_timeout(events: str) -> None:
    rig = Rig(events, STREAM, chunk_bytes=500_000, statement_timeout=0.25)
    began = time.monotonic()
    reading = rig.read(rig.plan("events", "t"), on_chunk=lambda chunk: time.sleep(0.08))
    assert time.monotonic() - began > 3 * 0.25
    assert sorted(map(int, reading.keys)) == list(range(ROWS))


def test_a_statement_that_is_always_too_slow_ends_as_an_outage(events: str) -> None:
    rig = Rig(events, STREAM, statement_timeout=0.1)
    plan = rig.plan("events", "t")
    with closing(psycopg2.connect(events)) as blocker, blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        for ask in (
            lambda: rig.read(plan),
            lambda: rig.source.summarise(plan, upper=JANUARY.end),
            lambda: list(rig.source.keys(plan, hour=JANUARY.start, upper=JANUARY.end)),
        ):
            with pytest.raises(SourceUnavailable, match="statement_timeout"):
                ask()


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_line_is_an_outage_that_passes(
    events: str, postgres_server: PostgresServer, reset: bool
) -> None:
    with Relay(postgres_server.port) as relay:
        rig = Rig(events, STREAM, port=relay.port, chunk_bytes=100_000)

        def cut(chunk: Chunk) -> None:
            if chunk.sequence in (2, 40):
                relay.cut(reset=reset)

        reading = rig.read(rig.plan("events", "t"), on_chunk=cut)
    assert sorted(map(int, reading.keys)) == list(range(ROWS))


def test_a_server_that_does_not_come_back_is_an_outage(
    events: str, postgres_server: PostgresServer
) -> None:
    with Relay(postgres_server.port) as relay:
        rig = Rig(events, STREAM, port=relay.port, chunk_bytes=100_000)
        plan = rig.plan("events", "t")

        def go_down(chunk: Chunk) -> None:
            if chunk.sequence == 5:
                relay.refuse()
                relay.cut()

        before = Reading()
        with pytest.raises(SourceUnavailable) as caught:
            rig.read(plan, on_chunk=go_down, into=before)
        assert postgres_server.password not in str(caught.value)
        assert "dify_db" in str(caught.value)
        for ask in (
            lambda: rig.source.has_tenant("events", "t"),
            lambda: rig.source.summarise(plan, upper=JANUARY.end),
            lambda: rig.source.rows(plan, ["1"]),
        ):
            with pytest.raises(SourceUnavailable):
                ask()
    rest = Rig(events, STREAM).read(plan, after=before.chunks[-1].cursor)
    assert sorted(map(int, before.keys + rest.keys)) == list(range(ROWS))


def test_keys_that_break_off_are_an_outage_and_not_an_end(events: str) -> None:
    execute(
        events,
        "INSERT INTO events SELECT n, 't', '2025-01-10' FROM generate_series(1000, 30000) n",
    )
    rig = Rig(events, STREAM)
    listed = rig.source.keys(
        rig.plan("events", "t"), hour=JANUARY.start.replace(day=10), upper=JANUARY.end
    )
    first: KeyPrint = next(listed)
    assert first.key == "1000"
    execute(events, _OURS.format("pg_terminate_backend"))
    with pytest.raises(SourceUnavailable):
        list(listed)


@pytest.mark.parametrize("strategy", [ReadStrategy.KEYSET, ReadStrategy.BY_KEY])
def test_rows_deleted_and_added_meanwhile_confuse_nothing(
    events: str, strategy: ReadStrategy
) -> None:
    rig = Rig(events, STREAM, forced=strategy, page_rows=100, chunk_bytes=100_000)

    def churn(chunk: Chunk) -> None:
        if chunk.sequence == 1:
            execute(
                events,
                "DELETE FROM events WHERE id BETWEEN 0 AND 60 OR id BETWEEN 150 AND 160",
                "INSERT INTO events VALUES (-1, 't', '2025-01-03', 1, 'before the cursor')",
                _OURS.format("pg_terminate_backend"),
            )
            time.sleep(0.02)

    keys = rig.read(rig.plan("events", "t"), on_chunk=churn).keys
    assert max(Counter(keys).values()) == 1
    untouched = {n for n in range(ROWS) if not (n <= 60 or 150 <= n <= 160)}
    assert untouched <= {int(key) for key in keys}


def test_a_row_that_moves_to_another_month_while_keys_are_listed_stays_out(events: str) -> None:
    rig = Rig(events, STREAM, forced=ReadStrategy.BY_KEY, chunk_bytes=100_000)

    def move(chunk: Chunk) -> None:
        if chunk.sequence == 0:
            execute(events, "UPDATE events SET at = '2025-03-01' WHERE id > 390")

    import airflow_provider_logmigrate.stores.postgres.read as reading

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "FIRST_PAGE_ROWS", 50)
        documents = rig.read(rig.plan("events", "t"), on_chunk=move).documents
    assert all(d.source["at"].startswith("2025-01") for d in documents)


def test_no_transaction_is_longer_than_a_page(events: str) -> None:
    """Every page has a transaction of its own, however long the target lets a chunk wait."""
    rig = Rig(events, STREAM, page_rows=20, chunk_bytes=200_000, statement_timeout=77.5)
    seen: list[tuple[object, str, bool, int]] = []

    def look(chunk: Chunk) -> None:
        time.sleep(0.01)
        ((started, name, query),) = execute(
            events,
            "SELECT xact_start, application_name, query FROM pg_stat_activity"
            " WHERE application_name = 'logmigrate' AND datname = current_database()",
        )
        seen.append((started, name, query.startswith("COPY"), chunk.sequence))

    reading = rig.read(rig.plan("events", "t"), on_chunk=look)
    pages = ROWS // 20
    transactions = {started for started, *_ in seen if started is not None}
    assert len(reading.chunks) >= pages
    assert len(transactions) >= pages - 1
    assert seen[-1][0] is None or ROWS % 20  # the last chunk is handed over after its page
    assert {name for _, name, *_ in seen} == {"logmigrate"}
    timeout = rig.sessions.run(_setting("statement_timeout"))
    assert timeout == "77500ms"


def _setting(name: str) -> Callable[[psycopg2.extensions.connection], str]:
    def ask(connection: psycopg2.extensions.connection) -> str:
        with connection.cursor() as cursor:
            cursor.execute(f"SHOW {name}")
            row = cursor.fetchone()
            assert row is not None
            return str(row[0])

    return ask


def test_large_rows_make_short_pages(events: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from functools import partial

    from airflow_provider_logmigrate.stores.postgres import read
    from airflow_provider_logmigrate.stores.postgres.page_size import PageSize

    monkeypatch.setattr(read, "PageSize", partial(PageSize, page_bytes=500_000))
    monkeypatch.setattr(read, "FIRST_PAGE_ROWS", 10)
    for strategy in ReadStrategy:
        rig = Rig(events, STREAM, forced=strategy)
        reading = rig.read(rig.plan("events", "t"))
        statements = Counter(document.version for document in reading.documents)
        assert set(map(int, reading.by_key())) == set(range(ROWS))
        sizes = list(statements.values())[1:]
        assert max(sizes) <= 30, strategy
        assert min(sizes[:-1]) >= 10, strategy


def test_idle_listeners_end_with_their_generator(events: str) -> None:
    rig = Rig(events, STREAM)
    listed = rig.source.keys(
        rig.plan("events", "t"), hour=JANUARY.start.replace(day=3), upper=JANUARY.end
    )
    next(listed)
    assert len(execute(events, _OURS.replace("{}(pid)", "pid"))) == 1
    del listed
    deadline = time.monotonic() + 5
    while execute(events, _OURS.replace("{}(pid)", "pid")) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert execute(events, _OURS.replace("{}(pid)", "pid")) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("TimeZone", "Asia/Shanghai"),
        ("DateStyle", "German, DMY"),
        ("IntervalStyle", "iso_8601"),
        ("extra_float_digits", "-5"),
        ("bytea_output", "escape"),
    ],
)
def test_a_logins_own_settings_change_no_byte(database: str, setting: str, value: str) -> None:
    execute(
        database,
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, z timestamptz,"
        " d date, i interval, f float8, b bytea)",
        "INSERT INTO events VALUES (1, 't', '2025-01-31 23:59:59.999999', '2025-01-31 23:30+00',"
        r" '2025-02-03', '1 day 02:03', 0.1::float8 + 0.2, '\x00ff41')",
    )
    rig = Rig(database, own_stream())
    plan = rig.plan("events", "t")
    name = execute(database, "SELECT current_database()")[0][0]
    before = rig.read(plan).documents[0]
    summary = rig.source.summarise(plan, upper=JANUARY.end)
    rows = list(rig.source.rows(plan, ["1"]))
    execute(database, f"ALTER DATABASE {name} SET {setting} TO '{value}'")
    after = rig.read(plan).documents[0]
    assert after.line == before.line
    assert rig.source.summarise(plan, upper=JANUARY.end) == summary
    assert list(rig.source.rows(plan, ["1"])) == rows
