"""The ledger's database goes away, refuses, or stalls."""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, make_url, text

from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    LedgerUnavailable,
    LogMigrateError,
)
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.ledger import Ledger
from devstack.postgres import PostgresServer


@pytest.fixture
def own_server(server_root: Path) -> Iterator[PostgresServer]:
    """A server that may be stopped."""
    with PostgresServer(server_root / "ledger-outage") as server:
        yield server


def shown(error: LogMigrateError) -> str:
    """Everything of an error that reaches a log, also after it crossed a process."""
    passed_on = pickle.loads(pickle.dumps(error))
    return "".join(traceback.format_exception(error)) + repr(error) + repr(passed_on.__dict__)


def test_a_stopped_server_is_an_outage_and_passes(own_server: PostgresServer) -> None:
    with Ledger(own_server.dsn(), who="tester") as ledger:
        first = ledger.units.begin_attempt()
        own_server.stop()
        with pytest.raises(LedgerUnavailable) as caught:
            ledger.units.begin_attempt()

        assert caught.value.retryable
        assert f"127.0.0.1:{own_server.port}/postgres" in caught.value.where
        assert own_server.password not in shown(caught.value)
        assert own_server.password not in repr(ledger)

        own_server.start()
        assert ledger.units.begin_attempt() > first


def test_a_killed_server_loses_nothing(own_server: PostgresServer) -> None:
    with Ledger(own_server.dsn(), who="tester") as ledger:
        attempt = ledger.units.begin_attempt()
        own_server.process.kill()
        with pytest.raises(LedgerUnavailable):
            ledger.units.begin_attempt()
        own_server.start()

        assert ledger.units.begin_attempt() > attempt


def test_a_connection_dropped_between_calls_goes_unnoticed(ledger: Ledger, database: str) -> None:
    first = ledger.units.begin_attempt()
    with psycopg.connect(database, autocommit=True) as admin:
        ended = admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'logmigrate' AND datname = current_database()"
        )
        assert ended.fetchall() == [(True,)]

    assert ledger.units.begin_attempt() > first


def test_a_connection_dropped_inside_a_transaction_is_retried_once(database: str) -> None:
    opened = Database(database, who="tester")
    runs: list[int] = []

    def drop_always(connection: Connection) -> None:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        runs.append(int(pid or 0))
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
        connection.execute(text("SELECT 1"))

    def drop_first(connection: Connection) -> str:
        if not runs:
            drop_always(connection)
        return "done"

    assert opened.transact(drop_first) == "done"
    assert len(runs) == 1
    with pytest.raises(LedgerUnavailable):
        opened.transact(drop_always)
    assert len(runs) == 3
    opened.close()


def test_a_statement_that_takes_too_long_is_an_outage(database: str) -> None:
    opened = Database(database, who="tester", timeout_seconds=1)

    with pytest.raises(LedgerUnavailable, match="statement timeout"):
        opened.transact(lambda connection: connection.execute(text("SELECT pg_sleep(5)")))

    opened.close()


def test_a_wrong_password_needs_a_person_and_is_tried_once(
    database: str, postgres_server: PostgresServer
) -> None:
    before = postgres_server.process.log.read_text().count("password authentication failed")
    url = make_url(database).set(password="wr0ng s3cret")
    with Ledger(url, who="tester") as ledger, pytest.raises(ConnectionInvalid) as caught:
        ledger.check()

    assert "password authentication failed" in str(caught.value)
    assert "wr0ng s3cret" not in shown(caught.value)
    after = postgres_server.process.log.read_text().count("password authentication failed")
    assert after - before == 1


def test_an_unknown_database_needs_a_person(database: str) -> None:
    url = make_url(database).set(database="no_such_database")
    refused = pytest.raises(ConnectionInvalid, match='"no_such_database" does not exist')
    with Ledger(url, who="tester") as ledger, refused:
        ledger.check()


def test_a_lost_privilege_needs_a_person(ledger: Ledger, database: str) -> None:
    ledger.check()
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("CREATE ROLE ledger_reader LOGIN PASSWORD 'pw'")
        admin.execute("GRANT USAGE ON SCHEMA logmigrate TO ledger_reader")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA logmigrate TO ledger_reader")
    try:
        url = make_url(database).set(username="ledger_reader", password="pw")
        with Ledger(url, who="reader") as reader:
            assert reader.history.list() == []
            with pytest.raises(ConnectionInvalid, match="permission denied"):
                reader.runs.start(run_id="r", migration="m", tenant="t")
    finally:
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute("DROP OWNED BY ledger_reader")
            admin.execute("DROP ROLE ledger_reader")


def test_a_standby_is_an_outage_until_it_takes_over(ledger: Ledger, database: str) -> None:
    ledger.check()
    with psycopg.connect(database, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    with Ledger(database, who="tester") as other, pytest.raises(LedgerUnavailable):
        other.runs.start(run_id="r", migration="m", tenant="t")


def test_the_options_of_the_address_are_kept(database: str) -> None:
    url = make_url(database).update_query_dict({"options": "-c work_mem=7MB"})
    opened = Database(url, who="tester", timeout_seconds=12)

    def settings(connection: Connection) -> list[str]:
        names = ["work_mem", "statement_timeout", "application_name", "transaction_isolation"]
        return [str(connection.scalar(text(f"SHOW {name}"))) for name in names]

    assert opened.transact(settings) == ["7MB", "12s", "logmigrate", "read committed"]
    opened.close()


FORKING = """
import os, sys
from airflow_provider_logmigrate.ledger.ledger import Ledger
ledger = Ledger(sys.argv[1], who="fork")
ledger.units.begin_attempt()
child = os.fork()
numbers = [ledger.units.begin_attempt() for _ in range(50)]
if child == 0:
    ledger.close()
    os._exit(0 if len(set(numbers)) == 50 else 1)
status = os.waitpid(child, 0)[1]
numbers.append(ledger.units.begin_attempt())
sys.exit(status or (numbers[-1] != 102))
"""


def test_a_ledger_survives_a_fork(database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING, database], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
