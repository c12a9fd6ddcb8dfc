"""What a probe reads of a real source: under load, on a replica's master, without privileges."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import psycopg2
import pytest
from psycopg2.extensions import make_dsn
from psycopg2.extras import PhysicalReplicationConnection

from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.core.protection import Reading, Thresholds
from airflow_provider_logmigrate.stores.postgres import protection
from airflow_provider_logmigrate.stores.postgres.protection import SourceProbe
from airflow_provider_logmigrate.stores.postgres.session import Sessions
from tests.integration.postgres.rig import execute, sessions

ALL = Thresholds(probe_seconds=1.0, lag_seconds=10.0, lag_bytes=1 << 20, active_backends=10)

TABLES = (
    'CREATE TABLE "Some Events" (id bigint, payload text)',
    "INSERT INTO \"Some Events\" SELECT n, repeat('x', 2000) FROM generate_series(1, 200) AS n",
    "CREATE TABLE empty (id bigint)",
    "CREATE VIEW seen AS SELECT * FROM empty",
    "CREATE TABLE parted (id bigint) PARTITION BY RANGE (id)",
    "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100)",
)


def probe(of: Sessions, *tables: str, thresholds: Thresholds = ALL, seed: int = 1) -> SourceProbe:
    return SourceProbe(
        of,
        tables=tables or ("Some Events",),
        thresholds=thresholds,
        rng=random.Random(seed),
    )


@contextmanager
def busy(dsn: str, count: int) -> Iterator[None]:
    """So many sessions that run a statement."""
    connections = [psycopg2.connect(dsn) for _ in range(count)]
    pids = [connection.info.backend_pid for connection in connections]

    def sleep(connection: psycopg2.extensions.connection) -> None:
        with closing(connection), connection.cursor() as cursor, suppress(psycopg2.Error):
            cursor.execute("SELECT pg_sleep(600)")

    threads = [threading.Thread(target=sleep, args=[c], daemon=True) for c in connections]
    for thread in threads:
        thread.start()
    active = (
        f"SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(ARRAY{pids}) AND query ~ 'sleep'"
    )
    eventually(lambda: execute(dsn, active) == [(count,)])
    try:
        yield
    finally:
        for pid in pids:
            execute(dsn, f"SELECT pg_cancel_backend({pid})")
        for thread in threads:
            thread.join(60)


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def login(dsn: str) -> Iterator[Sessions]:
    """Of a user with no more rights than reading the table."""
    name = f"reader_{secrets.token_hex(4)}"
    execute(
        dsn,
        f"CREATE ROLE {name} LOGIN PASSWORD 'reader''s secret'",
        f'GRANT SELECT ON "Some Events" TO {name}',
    )
    try:
        yield sessions(dsn, user=name, password="reader's secret")
    finally:
        execute(dsn, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.mark.parametrize("table", ["Some Events", "public.Some Events", "empty", "seen", "parted"])
def test_any_kind_of_table_can_be_probed(database: str, table: str) -> None:
    execute(database, *TABLES)
    for seed in range(5):
        reading = probe(sessions(database), table, seed=seed)()
        assert reading.probe_seconds is not None
        assert 0 < reading.probe_seconds < 60
        assert reading.unreadable == ()


def test_a_table_that_is_gone_is_not_the_probe_s_business(database: str) -> None:
    assert probe(sessions(database), "gone.away")().probe_seconds is not None


def test_only_what_is_watched_is_asked_for(database: str) -> None:
    assert probe(sessions(database), thresholds=Thresholds())() == Reading()
    reading = probe(sessions(database), thresholds=Thresholds(active_backends=5))()
    assert (reading.probe_seconds, reading.lag_seconds, reading.lag_bytes) == (None, None, None)
    assert reading.active_backends is not None


def test_without_replicas_nobody_is_late(database: str) -> None:
    reading = probe(sessions(database), "empty")()
    assert (reading.lag_seconds, reading.lag_bytes, reading.unreadable) == (None, None, ())


def test_sessions_that_run_a_statement_are_counted_and_ours_are_not(database: str) -> None:
    execute(database, *TABLES)
    asked = probe(sessions(database))
    with busy(database, 3):
        assert (asked().active_backends or 0) >= 3
    before = asked().active_backends or 0
    with busy(make_dsn(database, application_name="logmigrate"), 3):
        assert (asked().active_backends or 0) < before + 3


def test_a_table_that_is_locked_makes_the_probe_slow_but_not_endless(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that a schema change waits for holds every query, the product's too."""
    monkeypatch.setattr(protection, "STATEMENT_SECONDS", 1.0)
    execute(database, *TABLES)
    asked = probe(sessions(database), thresholds=Thresholds(probe_seconds=0.1))
    with closing(psycopg2.connect(database)) as holder, holder.cursor() as cursor:
        cursor.execute('LOCK TABLE "Some Events" IN ACCESS EXCLUSIVE MODE')
        held = asked().probe_seconds
    assert held is not None
    assert held > 0.9
    eased = asked().probe_seconds
    assert eased is not None
    assert eased < held


def test_what_the_login_may_not_see_is_named(database: str) -> None:
    execute(database, *TABLES)
    with login(database) as plain, busy(database, 1):
        reading = probe(plain)()
    assert reading.probe_seconds is not None
    (told,) = reading.unreadable
    assert "sessions of other users can't be read" in told
    assert "pg_monitor" in told


def test_a_source_that_does_not_answer_is_told(database: str) -> None:
    with pytest.raises(SourceUnavailable):
        probe(sessions(database, port=1))()


@contextmanager
def replica(dsn: str) -> Iterator[None]:
    """A physical replica as the source sees one: it has replayed all up to now, and no more."""
    ((now,),) = execute(dsn, "SELECT pg_current_wal_lsn()::text")
    line = psycopg2.connect(dsn, connection_factory=PhysicalReplicationConnection)
    with closing(line), line.cursor() as cursor:
        cursor.start_replication(start_lsn=now)
        high, low = now.split("/")
        at = (int(high, 16) << 32) + int(low, 16)
        cursor.send_feedback(at, at, at, force=True)  # type: ignore[no-untyped-call]
        seen = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn IS NOT NULL"
        eventually(lambda: execute(dsn, seen) == [(1,)])
        yield


def test_a_replica_that_is_behind_is_seen(database: str) -> None:
    execute(database, *TABLES)
    with replica(database):
        before = probe(sessions(database))().lag_bytes
        execute(
            database,
            "CREATE TABLE more AS SELECT repeat(md5(n::text), 50) FROM"
            " generate_series(1, 5000) AS n",
        )
        after = probe(sessions(database))().lag_bytes
        with login(database) as plain:
            hidden = probe(plain, thresholds=Thresholds(lag_bytes=1))()
    assert before is not None
    assert after is not None
    assert after > before + 500_000
    assert hidden.lag_bytes is None
    assert any("replication lag can't be read" in told for told in hidden.unreadable)
