from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import psycopg
import pytest

from devstack.stack import Addresses, Stack


def answers(addresses: Addresses) -> None:
    health = httpx.get(f"{addresses.airflow_url}/api/v2/monitor/health", trust_env=False)
    assert health.json()["scheduler"]["status"] == "healthy"
    assert httpx.get(addresses.search_url, trust_env=False).status_code == 200
    with psycopg.connect(addresses.postgres_dsn) as connection:
        found = connection.execute("SELECT current_database()").fetchone()
        assert found == ("dify",)


@pytest.mark.timeout(400)
def test_up_again_crash_up_down(server_root: Path) -> None:
    state_file = server_root / "stack.json"
    stack = Stack(server_root / "the stack", state_file=state_file)
    try:
        first = stack.up()
        assert not stack.was_running
        answers(first)
        assert stat.S_IMODE(state_file.stat().st_mode) == 0o600
        written = json.loads(state_file.read_text())
        assert written["airflow_url"] == first.airflow_url
        assert Path(written["config"]).exists()
        _the_viewer_may_look_but_not_touch(stack)
        _the_command_line_reaches_it(stack)

        # Another command later: everything runs, so nothing changes.
        later = Stack(server_root / "the stack", state_file=state_file)
        assert later.up() == first
        assert later.was_running

        later.kill()
        assert not any(process.running() for process in stack.processes())
        after = stack.up()
        answers(after)
        assert after.airflow_url == first.airflow_url
        assert after.airflow_password == first.airflow_password
        assert after.search_url == first.search_url
        assert after.postgres_dsn == first.postgres_dsn
        assert set(after.pids.values()).isdisjoint(first.pids.values())

        # One part was lost: up brings it back and leaves the others as they are.
        stack.opensearch.process.kill()
        repaired = stack.up()
        answers(repaired)
        changed = {name for name, pid in repaired.pids.items() if pid != after.pids[name]}
        assert changed == {"opensearch"}
    finally:
        stack.down()
    stack.down()
    assert not state_file.exists()
    assert not any(process.members() for process in stack.processes())


def _the_viewer_may_look_but_not_touch(stack: Stack) -> None:
    client = stack.airflow_client("viewer")
    assert client.request("GET", "/api/v2/dags").status_code == 200
    refused = client.request("POST", "/api/v2/pools", {"name": "wide", "slots": 99})
    assert refused.status_code == 403


def _the_command_line_reaches_it(stack: Stack) -> None:
    airflow = stack.airflow()
    done = airflow.command("connections", "get", "logs_search", "-o", "json")
    assert done.returncode == 0, done.stderr
    (connection,) = json.loads(done.stdout)
    assert f"{connection['host']}:{connection['port']}" in stack.search_url
    for secret in airflow.root.glob("*.json"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600, secret
