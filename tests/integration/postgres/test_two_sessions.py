"""Long summaries are computed in two sessions at once: same sums, every error, nothing left."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from psycopg2 import sql

from airflow_provider_logmigrate.core.errors import SourceUnsuitable
from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.stream import SettledBy
from airflow_provider_logmigrate.core.unit import UTC
from airflow_provider_logmigrate.stores.postgres.summarise import (
    SECOND_SESSION_ROWS,
    StatementsInTwo,
)
from tests.integration.postgres.rig import JANUARY, Rig, execute, own_stream, sessions, utc

PATIENCE = 60
BIG = f"SELECT now(), {SECOND_SESSION_ROWS}, 0, 0, now(), 0, 0"
SETTLED = own_stream(settled=SettledBy("status", ("done",)))


def statements(*texts: str) -> list[sql.Composable]:
    return [sql.SQL(text) for text in texts]


def test_the_sums_are_those_of_the_rows(database: str) -> None:
    count = 2 * SECOND_SESSION_ROWS
    execute(
        database,
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, status text)",
        "INSERT INTO events SELECT n, 't', timestamp '2025-01-01' + n * interval '3 minutes',"
        " CASE WHEN n % 7 = 0 THEN 'running' ELSE 'done' END"
        f" FROM generate_series(0, {count - 1}) AS n",
        "CREATE INDEX ON events (tenant, at, id)",
    )
    rig = Rig(database, SETTLED)
    plan = rig.plan("events", "t")
    upper = utc(2025, 1, 20)
    summary = rig.source.summarise(plan, upper=upper)
    documents = rig.read(plan).documents
    sums: dict[str, Bucket] = {}
    for document in documents:
        at = str(document.source["at"])
        if at < upper.isoformat():
            sums[at[:13]] = sums.get(at[:13], Bucket(0, 0, 0)) + Bucket(1, *document.print)
    assert {hour.isoformat()[:13]: found for hour, found in summary.buckets.items()} == sums
    ((held_back, pending, newest),) = execute(
        database,
        "SELECT count(*) FILTER (WHERE at < '2025-01-20' AND status = 'running'),"
        " count(*) FILTER (WHERE at >= '2025-01-20' AND at < '2025-02-01'),"
        " max(at) FILTER (WHERE at < '2025-01-20' AND status = 'done') FROM events",
    )
    assert (summary.held_back, summary.pending) == (held_back, pending)
    assert summary.max_event_time == newest.replace(tzinfo=UTC)
    assert summary.total.count > SECOND_SESSION_ROWS
    assert max(summary.buckets) < JANUARY.end


MEET = f"""
CREATE FUNCTION meet() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    own int := nextval('arrivals');
    patience timestamptz := clock_timestamp() + interval '{PATIENCE} s';
BEGIN
    WHILE (SELECT last_value FROM arrivals) < 2 AND clock_timestamp() < patience LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN (SELECT last_value FROM arrivals);
END $$"""


def test_two_statements_run_at_the_same_time(database: str) -> None:
    execute(database, "CREATE SEQUENCE arrivals", MEET)
    met = "SELECT now(), meet(), 0, 0, now(), 0, 0"
    found = StatementsInTwo(sessions(database), statements(BIG, met, met)).run()
    assert [row[1] for row in found] == [SECOND_SESSION_ROWS, 2, 2]


def test_every_statement_runs_once(database: str) -> None:
    many = [BIG] + [f"SELECT now(), {n}, 0, 0, now(), 0, 0" for n in range(40)]
    found = StatementsInTwo(sessions(database), statements(*many)).run()
    assert Counter(row[1] for row in found) == Counter([SECOND_SESSION_ROWS, *range(40)])
    assert StatementsInTwo(sessions(database), []).run() == []


@pytest.mark.parametrize("position", range(4))
def test_a_statement_that_fails_ends_both_sessions(database: str, position: int) -> None:
    texts = [BIG] * 4
    texts[position] = "SELECT now(), 1 / 0, 0, 0, now(), 0, 0"
    before = set(threading.enumerate())
    with pytest.raises(SourceUnsuitable, match="division by zero"):
        StatementsInTwo(sessions(database), statements(*texts)).run()
    assert set(threading.enumerate()) <= before
