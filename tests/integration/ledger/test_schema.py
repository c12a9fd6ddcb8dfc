"""Making and upgrading the ledger's schema."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect

from airflow_provider_logmigrate.core.errors import ConnectionInvalid, NeedsAction
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.ledger.schema import REVISIONS, SCHEMA, VERSION_TABLE, upgrade
from airflow_provider_logmigrate.ledger.schema.tables import metadata
from devstack.postgres import PostgresServer

MIGRATIONS = Path(upgrade.__file__).with_name("migrations")

FIRST_START = """
import sys
from airflow_provider_logmigrate.ledger.ledger import Ledger
ledger = Ledger(sys.argv[1], who="first start")
print("ready", flush=True)
sys.stdin.readline()
print(ledger.units.begin_attempt(), "alembic" in sys.modules, flush=True)
"""


def engine_of(dsn: str) -> Engine:
    return create_engine(dsn.replace("postgresql:", "postgresql+psycopg2:"))


def start_process(dsn: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FIRST_START, dsn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_eight_processes_that_start_at_once_make_one_ledger(database: str) -> None:
    processes = [start_process(database) for _ in range(8)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0] * 8, answers
    assert sorted(int(out.split()[0]) for out, _ in answers) == list(range(1, 9))
    with psycopg.connect(database) as connection:
        versions = connection.execute(f"SELECT version_num FROM {SCHEMA}.{VERSION_TABLE}")
        assert versions.fetchall() == [(REVISIONS[-1],)]


def test_a_current_ledger_is_found_without_alembic(ledger: Ledger, database: str) -> None:
    ledger.check()

    out, err = start_process(database).communicate("go\n", timeout=60)

    assert out.split() == ["ready", "1", "False"], err


def test_a_current_ledger_costs_less_than_30_milliseconds(ledger: Ledger, database: str) -> None:
    ledger.check()
    engine = engine_of(database)
    took = []
    for _ in range(7):
        upgrade.forget(engine)
        began = time.perf_counter()
        upgrade.upgrade(engine)
        took.append(time.perf_counter() - began)
    engine.dispose()

    assert statistics.median(took) < 0.030


def test_who_comes_second_waits_and_goes_on_when_the_first_is_killed(
    ledger: Ledger, database: str
) -> None:
    with psycopg.connect(database) as first:
        first.execute("SELECT pg_advisory_xact_lock(%s)", [upgrade.LOCK])
        first.execute(f"CREATE SCHEMA {SCHEMA}")
        second = threading.Thread(target=ledger.check)
        second.start()
        with psycopg.connect(database, autocommit=True) as observer:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            deadline = time.monotonic() + 10
            while observer.execute(waiting).fetchone() != (1,):
                assert time.monotonic() < deadline, "nobody waits for the lock"
                time.sleep(0.02)
            observer.execute("SELECT pg_terminate_backend(%s)", [first.info.backend_pid])
        second.join(timeout=30)
        first.close()

    assert ledger.units.begin_attempt() == 1


def test_tables_and_migrations_are_equal(ledger: Ledger, database: str) -> None:
    ledger.check()
    engine = engine_of(database)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "compare_server_default": True,
                "version_table": VERSION_TABLE,
                "version_table_schema": SCHEMA,
                "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
            },
        )
        assert compare_metadata(context, metadata) == []
        found = inspect(connection)
        checks = {
            check["name"]
            for table in found.get_table_names(schema=SCHEMA)
            for check in found.get_check_constraints(table, schema=SCHEMA)
        }
        assert found.get_sequence_names(schema=SCHEMA).count("attempt_seq") == 1
    engine.dispose()
    assert checks == {
        f"{table}_{column}_check"
        for table, column in [
            ("unit", "phase"),
            ("dead_letter", "state"),
            ("cutover", "state"),
            ("run", "outcome"),
            ("sweep", "state"),
            ("sweep_part", "phase"),
            ("deletion_batch", "state"),
            ("deletion_object", "state"),
            ("retention", "state"),
        ]
    }


def test_the_code_knows_exactly_the_migrations_that_exist_and_none_goes_back() -> None:
    scripts = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())

    assert tuple(script.revision for script in reversed(scripts)) == REVISIONS
    assert [script.revision for script in scripts if hasattr(script.module, "downgrade")] == []


def test_everything_is_inside_the_schema(ledger: Ledger, database: str) -> None:
    ledger.check()
    with psycopg.connect(database) as connection:
        outside = connection.execute(
            "SELECT nspname, relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', %s)",
            [SCHEMA],
        )
        assert outside.fetchall() == []


def test_a_newer_ledger_is_refused(ledger: Ledger, database: str) -> None:
    ledger.check()
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE {SCHEMA}.{VERSION_TABLE} SET version_num = '9001'")
    engine = engine_of(database)
    upgrade.forget(engine)
    engine.dispose()

    with Ledger(database, who="old code") as old, pytest.raises(NeedsAction) as caught:
        old.units.begin_attempt()

    assert "schema version 9001, newer than this code" in str(caught.value)
    assert "install on this machine" in caught.value.next_step
    assert caught.value.data == {"stored": "9001", "known": REVISIONS[-1]}
    assert not caught.value.retryable


def test_a_login_that_may_not_create_the_schema_is_told_what_to_ask_for(
    database: str, postgres_server: PostgresServer
) -> None:
    role = f"poor {database[-12:]}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'pw'")
    poor = database.replace(
        f"postgres:{postgres_server.password}@", f"{role.replace(' ', '%20')}:pw@"
    )
    try:
        with Ledger(poor, who="poor") as ledger:
            with pytest.raises(ConnectionInvalid, match="may not create the schema") as caught:
                ledger.check()
            with psycopg.connect(database, autocommit=True) as admin:
                admin.execute(caught.value.next_step.partition("run: ")[2])
            assert ledger.units.begin_attempt() == 1
    finally:
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(f'DROP OWNED BY "{role}" CASCADE')
            admin.execute(f'DROP ROLE "{role}"')


def test_a_database_that_is_not_utf8_is_refused(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as admin:
        admin.execute(
            "CREATE DATABASE ledger_latin ENCODING 'LATIN1' TEMPLATE template0 "
            "LOCALE_PROVIDER libc LOCALE 'C'"
        )
    try:
        refused = pytest.raises(ConnectionInvalid, match="LATIN1")
        with Ledger(postgres_server.dsn("ledger_latin"), who="tester") as ledger, refused:
            ledger.check()
    finally:
        postgres_server.drop_database("ledger_latin")


def test_a_ledger_that_was_dropped_is_made_anew(ledger: Ledger, database: str) -> None:
    ledger.check()
    with psycopg.connect(database) as connection:
        connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")

    assert ledger.history.list() == []
    assert ledger.units.begin_attempt() == 1


def test_the_first_migration_stands_on_its_own() -> None:
    """A migration that read the tables of today would change when they do."""
    source = (MIGRATIONS / "versions" / "0001_initial.py").read_text()

    assert "airflow_provider_logmigrate" not in source
