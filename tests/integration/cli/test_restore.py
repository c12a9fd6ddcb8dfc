"""``airflow logmigrate restore`` in a process of its own."""

from __future__ import annotations

from typing import Any

from airflow_provider_logmigrate.operators.purge import PurgePlanOperator, PurgeSourceOperator
from tests.integration.cli.conftest import Cli
from tests.integration.operators.run import TaskInstance
from tests.integration.operators.stage import Stage

UNIT = "events/acme/2025-01"


def test_purged_rows_come_back_by_command(cli: Cli, stage: Stage) -> None:
    stage.configure(purge={"approval": False})
    stage.fill(20)
    stage.run().whole()
    rows = stage.execute("SELECT * FROM events ORDER BY id")
    _purge(stage)
    assert stage.execute("SELECT count(*) FROM events") == [(0,)]
    of = ("--migration", "logs", "--tenant", "acme")
    assert _purged(cli) == 20

    wrong = cli("restore", *of, "--units", "events/acme/2024-12")
    assert wrong.code == 1
    assert f"units with purged rows: {UNIT}" in wrong.error

    misspelt = cli("restore", "--migration", "logs", "--tenant", "acne")
    assert misspelt.code == 1
    assert "TenantInvalid: the migration doesn't name this tenant [acne]" in misspelt.error

    done = cli("restore", *of, "-o", "json")
    assert done.code == 0, done.err
    assert done.json == [{"unit": UNIT, "rows": 20, "batches": 1, "objects": 0}]
    assert stage.execute("SELECT * FROM events ORDER BY id") == rows
    assert _purged(cli) == 0

    again = cli("restore", *of, "-o", "json")
    assert (again.code, again.json) == (0, [])


def _purged(cli: Cli) -> int:
    (unit,) = cli("status", "-o", "json").json["units"]
    return int(unit["purged rows"])


def _purge(stage: Stage) -> None:
    names: dict[str, Any] = {"migration": stage.migration, "tenant": "acme"}
    run = stage.run()
    plan: Any = PurgePlanOperator(task_id="plan", approved_later=True, **names)
    made = plan.execute({"ti": TaskInstance(run, "plan"), "params": {}})
    purge: Any = PurgeSourceOperator(task_id="purge", plan_hash=made["plan"], **names)
    purge.execute({"ti": TaskInstance(run, "purge"), "params": {}})
