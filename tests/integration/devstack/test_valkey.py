from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from devstack.celery_workers import CeleryAirflow
from devstack.errors import DevstackError
from devstack.paths import CHECKOUT
from devstack.valkey import ValkeyServer


@pytest.fixture
def server(server_root: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(server_root / "valkey") as started:
        yield started


def test_it_takes_commands_of_those_who_know_the_password(server: ValkeyServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.rpush("queue", "task")
        assert client.blpop(["queue"], timeout=5) == (b"queue", b"task")

    address, _, database = server.url.rpartition("@")[2].partition("/")
    with (
        redis.Redis.from_url(f"redis://{address}/{database}") as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_a_killed_one_is_started_again_at_the_same_address(server: ValkeyServer) -> None:
    url, pid = server.url, server.process.pid
    server.process.kill()
    assert not server.answers()

    server.start()
    assert server.answers()
    assert server.url == url
    assert server.process.pid != pid
    assert server.start().process.pid == server.process.pid

    server.stop()
    server.stop()
    assert not server.answers()


def test_it_has_no_address_before_its_start(tmp_path: Path) -> None:
    with pytest.raises(DevstackError, match="never started"):
        _ = ValkeyServer(tmp_path).url


def test_workers_have_names_and_everything_else_in_common(
    server: ValkeyServer, tmp_path: Path
) -> None:
    airflow = CeleryAirflow(
        tmp_path,
        database_dsn="postgresql://somebody:secret@127.0.0.1:1/airflow",
        dags_folder=CHECKOUT / "dags",
        env={},
        broker=server,
        workers=("one", "two"),
    )

    assert set(airflow.components) == {"api-server", "scheduler", "dag-processor", "one", "two"}
    assert "one@devstack" in airflow.commands()["one"]
    assert "two@devstack" in airflow.commands()["two"]
    assert not airflow.running()
    with pytest.raises(DevstackError, match="never started"):
        airflow.environment()
