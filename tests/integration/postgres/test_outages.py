"""A read that breaks off in the middle goes on: nothing is lost, and nothing comes twice where
rows have an order. The faults are real: ended backends, cancelled queries, cut connections.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial

import psycopg2
import pytest

from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.ports import KeyPrint
from airflow_provider_logmigrate.core.stream import Parent, Stream
from airflow_provider_logmigrate.stores.postgres import read
from airflow_provider_logmigrate.stores.postgres.page_size import PageSize
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


@pytest.fixture(scope="module")
def events(postgres_server: PostgresServer) -> Iterator[str]:
    """8 MB that don't compress: more than fits between a backend and a reader that waits."""
    database = postgres_server.create_database("outages")
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
    yield database
    postgres_server.drop_database("outages")


@pytest.fixture
def copied(events: str) -> Iterator[Stream]:
    """The same rows in a table that may be changed."""
    execute(events, "CREATE TABLE copied (LIKE events INCLUDING ALL)")
    execute(events, "INSERT INTO copied TABLE events")
    yield replace(STREAM, table="copied")
    execute(events, "DROP TABLE copied")


class Breaker:
    """Ends or cancels the reading backend when certain chunks arrive.

    A chunk may arrive from the network's buffers when its backend is already gone.
    """

    def __init__(self, dsn: str, function: str, *, at: Container[int]) -> None:
        self._dsn, self._query, self._at = dsn, _OURS.format(function), at
        self.hits = 0

    def __call__(self, chunk: Chunk) -> None:
        if chunk.sequence in self._at:
            self.hits += len(execute(self._dsn, self._query))
            time.sleep(0.02)  # what the backend sent before is still on its way


@STRATEGIES
@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_broken_copy_goes_on(events: str, strategy: ReadStrategy, function: str) -> None:
    rig = Rig(events, STREAM, forced=strategy, chunk_bytes=100_000)
    plan = rig.plan("events", "t")
    breaker = Breaker(events, function, at=(3, 30))
    reading = rig.read(plan, on_chunk=breaker)
    assert breaker.hits
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
    rig = Rig(events, STREAM, forced=strategy, chunk_bytes=100_000)
    breaker = Breaker(events, "pg_cancel_backend", at=range(1, 60))
    reading = rig.read(rig.plan("events", "t"), on_chunk=breaker)
    assert breaker.hits > 4 * QUICK.attempts
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
            lambda: list(rig.source.keys(plan, hours=[JANUARY.start], upper=JANUARY.end)),
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


def test_keys_that_break_off_are_an_outage_and_not_an_end(events: str, copied: Stream) -> None:
    execute(
        events,
        "INSERT INTO copied SELECT n, 't', '2025-01-10' FROM generate_series(1000, 30000) n",
    )
    rig = Rig(events, copied)
    listed = rig.source.keys(
        rig.plan("events", "t"), hours=[JANUARY.start.replace(day=10)], upper=JANUARY.end
    )
    first: KeyPrint = next(listed)
    assert first.key == "1000"
    execute(events, _OURS.format("pg_terminate_backend"))
    with pytest.raises(SourceUnavailable):
        list(listed)


@pytest.mark.parametrize("strategy", [ReadStrategy.KEYSET, ReadStrategy.BY_KEY])
def test_rows_deleted_and_added_meanwhile_confuse_nothing(
    events: str, copied: Stream, strategy: ReadStrategy
) -> None:
    rig = Rig(events, copied, forced=strategy, page_rows=100, chunk_bytes=100_000)

    def churn(chunk: Chunk) -> None:
        if chunk.sequence == 1:
            execute(
                events,
                "DELETE FROM copied WHERE id BETWEEN 0 AND 60 OR id BETWEEN 150 AND 160",
                "INSERT INTO copied VALUES (-1, 't', '2025-01-03', 1, 'before the cursor')",
                _OURS.format("pg_terminate_backend"),
            )
            time.sleep(0.02)

    keys = rig.read(rig.plan("events", "t"), on_chunk=churn).keys
    assert max(Counter(keys).values()) == 1
    untouched = {n for n in range(ROWS) if not (n <= 60 or 150 <= n <= 160)}
    assert untouched <= {int(key) for key in keys}


def test_a_row_that_moves_to_another_month_while_keys_are_listed_stays_out(
    events: str, copied: Stream
) -> None:
    rig = Rig(events, copied, forced=ReadStrategy.BY_KEY, chunk_bytes=100_000)

    def move(chunk: Chunk) -> None:
        if chunk.sequence == 0:
            execute(events, "UPDATE copied SET at = '2025-03-01' WHERE id > 390")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "FIRST_PAGE_ROWS", 50)
        documents = rig.read(rig.plan("events", "t"), on_chunk=move).documents
    assert all(d.source["at"].startswith("2025-01") for d in documents)


def test_no_transaction_is_longer_than_a_page(events: str) -> None:
    """Every page is a transaction of its own, however long the target lets a chunk wait."""
    rig = Rig(events, STREAM, page_rows=100, chunk_bytes=200_000, statement_timeout=77.5)
    seen: list[tuple[datetime | None, datetime, str]] = []

    def look(chunk: Chunk) -> None:
        time.sleep(0.005)
        ((began, asked, name),) = execute(
            events,
            "SELECT xact_start, query_start, application_name FROM pg_stat_activity WHERE"
            " query LIKE 'COPY%' AND datname = current_database()"
            " ORDER BY query_start DESC LIMIT 1",
        )
        seen.append((began, asked, name))

    reading = rig.read(rig.plan("events", "t"), on_chunk=look)
    assert len(reading.chunks) > 30
    assert {name for *_, name in seen} == {"logmigrate"}
    assert len({asked for _, asked, _ in seen}) >= ROWS // 100
    for began, asked, _ in seen:
        assert began is None or began == asked
    assert rig.sessions.run(_setting("statement_timeout")) == "77500ms"
    assert rig.sessions.run(_setting("row_security")) == "off"


def _setting(name: str) -> Callable[[psycopg2.extensions.connection], str]:
    def ask(connection: psycopg2.extensions.connection) -> str:
        with connection.cursor() as cursor:
            cursor.execute(f"SHOW {name}")
            row = cursor.fetchone()
            assert row is not None
            return str(row[0])

    return ask


def test_large_rows_make_short_pages(events: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
        rig.plan("events", "t"), hours=[JANUARY.start.replace(day=3)], upper=JANUARY.end
    )
    next(listed)
    assert len(execute(events, _OURS.replace("{}(pid)", "pid"))) == 1
    del listed
    deadline = time.monotonic() + 5
    while execute(events, _OURS.replace("{}(pid)", "pid")) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert execute(events, _OURS.replace("{}(pid)", "pid")) == []


def test_a_logins_own_settings_change_no_byte(database: str) -> None:
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
    for setting, value in (
        ("TimeZone", "Asia/Shanghai"),
        ("DateStyle", "German, DMY"),
        ("IntervalStyle", "iso_8601"),
        ("extra_float_digits", "-5"),
        ("bytea_output", "escape"),
    ):
        execute(database, f"ALTER DATABASE {name} SET {setting} TO '{value}'")
        after = rig.read(plan).documents[0]
        assert after.line == before.line
        assert rig.source.summarise(plan, upper=JANUARY.end) == summary
        assert list(rig.source.rows(plan, ["1"])) == rows
