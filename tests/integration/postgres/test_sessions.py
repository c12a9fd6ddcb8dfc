"""Connections that are kept between sessions: used again, replaced when they died, given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import SourceUnsuitable
from airflow_provider_logmigrate.stores.postgres.session import Sessions
from tests.integration.postgres.rig import QUICK, endpoint, execute


class NoWaiting(Stop):
    def wait(self, seconds: float, where: str) -> None:
        raise AssertionError(f"waited {seconds} s for {where}")


@pytest.fixture
def kept(database: str) -> Iterator[Sessions]:
    with closing(Sessions(endpoint(database), backoff=QUICK, keep=1)) as sessions:
        yield sessions


def value(connection: PgConnection, statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()[0][0]


def pid(connection: PgConnection) -> int:
    return int(value(connection, "SELECT pg_backend_pid()"))


def setting(connection: PgConnection) -> str:
    return str(value(connection, "SHOW enable_sort"))


def wait_for_connections(dsn: str, count: int) -> None:
    """A closed one ends in the server a moment later."""
    statement = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'logmigrate' AND datname = current_database()"
    )
    deadline = time.monotonic() + 60
    while (found := execute(dsn, statement)[0][0]) != count:
        assert time.monotonic() < deadline, f"{found} connections, not {count}"
        time.sleep(0.05)


def test_a_connection_is_used_again_by_sessions_of_its_settings(kept: Sessions) -> None:
    first = kept.run(pid)
    assert [kept.run(pid) for _ in range(3)] == [first] * 3
    with kept.session({"enable_sort": "off"}) as session:
        other = session.run(pid)
        assert session.run(setting) == "off"
    assert other != first
    assert kept.run(pid) == first
    assert kept.run(setting) == "on"
    with kept.session({"enable_sort": "off"}) as session:
        assert session.run(pid) == other


def test_sessions_at_the_same_time_have_connections_of_their_own(
    kept: Sessions, database: str
) -> None:
    with kept.session() as one, kept.session() as two:
        assert one.run(pid) != two.run(pid)
        wait_for_connections(database, 2)
    wait_for_connections(database, 1)
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(kept.run(pid))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(seen) == 4
    kept.close()
    wait_for_connections(database, 0)


def test_one_that_died_while_it_was_idle_is_replaced_at_once(kept: Sessions, database: str) -> None:
    dead = kept.run(pid)
    execute(database, ("SELECT pg_terminate_backend(%s, 10000)", [dead]))
    with kept.session(stop=NoWaiting()) as session:
        assert session.run(pid) != dead


def test_what_a_broken_off_session_leaves_is_not_used_again(kept: Sessions, database: str) -> None:
    def transaction(connection: PgConnection) -> int:
        connection.autocommit = False
        setting(connection)
        return pid(connection)

    left = kept.run(transaction)
    assert kept.run(pid) != left

    def wrong(connection: PgConnection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column")

    before = kept.run(pid)
    with pytest.raises(SourceUnsuitable):
        kept.run(wrong)
    assert kept.run(pid) == before, "a refused statement does a connection no harm"
    wait_for_connections(database, 1)


def test_nothing_is_kept_unless_asked_for(database: str) -> None:
    sessions = Sessions(endpoint(database), backoff=QUICK)
    sessions.run(pid)
    wait_for_connections(database, 0)
