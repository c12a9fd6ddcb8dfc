from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from devstack.errors import DevstackError
from devstack.postgres import PostgresServer


@pytest.fixture
def root(server_root: Path) -> Path:
    return server_root / f"pg with blank {secrets.token_hex(4)}"


def test_databases_and_settings(root: Path) -> None:
    with PostgresServer(root, settings={"work_mem": "7MB"}) as server:
        dsn = server.create_database('odd "name"')
        assert server.create_database('odd "name"') == dsn
        with psycopg.connect(dsn) as connection:
            row = connection.execute("SELECT current_database(), current_setting('work_mem')")
            assert row.fetchone() == ('odd "name"', "7MB")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn.replace(server.password, "wrong"))
        server.drop_database('odd "name"')
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(dsn)


def test_data_and_address_outlive_a_crash(root: Path) -> None:
    server = PostgresServer(root).start()
    dsn = server.dsn()
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    server.process.kill()
    assert (server.data / "postmaster.pid").exists()
    with PostgresServer(root) as again:
        assert again.dsn() == dsn
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
        assert again.start() is again


def test_a_killed_postmaster_alone_does_not_hinder(root: Path) -> None:
    server = PostgresServer(root).start()
    pid = server.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server.process.running():
        time.sleep(0.02)
    with PostgresServer(root) as again:
        psycopg.connect(again.dsn()).close()


def test_a_stale_lock_with_a_strangers_pid_is_ignored(root: Path) -> None:
    server = PostgresServer(root).start()
    server.process.kill()
    lock = server.data / "postmaster.pid"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with PostgresServer(root) as again:
            psycopg.connect(again.dsn()).close()
        assert stranger.poll() is None
        stranger.kill()


def test_a_failed_start_shows_the_log(root: Path) -> None:
    with pytest.raises(DevstackError, match="shared_buffers") as caught:
        PostgresServer(root, settings={"shared_buffers": "nonsense"}).start()
    assert str(root / "logs" / "postgres.log") in str(caught.value)


def test_databases_of_the_fixture_are_empty(database: str) -> None:
    with psycopg.connect(database) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchone() == (0,)
