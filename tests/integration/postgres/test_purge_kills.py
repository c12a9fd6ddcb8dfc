"""SIGKILL between each pair of steps of a purge: a later run finishes, and every count is right."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_logmigrate.ledger.ledger import Ledger
from tests.integration.postgres.purge_fixtures import empty_ledger, ledger_dsn
from tests.integration.postgres.purge_objects_victim import POINTS as OBJECT_POINTS
from tests.integration.postgres.purge_objects_victim import delete, pending
from tests.integration.postgres.purge_rig import (
    MIGRATION,
    RUNS_UNIT,
    STEPS_UNITS,
    PurgeRig,
    purge_plan_unit,
    whole_runs,
)
from tests.integration.postgres.purge_victim import POINTS, small_batches
from tests.integration.postgres.rig import execute

__all__ = ["empty_ledger", "ledger_dsn"]

UNIT = purge_plan_unit(RUNS_UNIT, *STEPS_UNITS)
STATES = "SELECT state, count(*) FROM logmigrate.deletion_batch GROUP BY 1"


def die(module: str, *arguments: str) -> None:
    """Run a victim to its end."""
    victim = subprocess.run(
        [sys.executable, "-m", f"tests.integration.postgres.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert victim.returncode == -signal.SIGKILL, victim.stderr


@pytest.mark.parametrize("sessions", [1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_purge_is_finished_by_the_next_one(
    database: str,
    empty_ledger: str,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    sessions: int,
) -> None:
    nth = 3
    small_batches(monkeypatch.setattr)
    rig = PurgeRig(database, empty_ledger)
    rig.copy()
    before = rig.rows_now()
    expected = whole_runs(before)

    die("purge_victim", database, empty_ledger, point, str(nth), str(sessions))

    left = rig.rows_now()
    for table, rows in left.items():
        assert rows.items() <= before[table].items()
        assert before[table].keys() - rows.keys() <= expected[table], "a row outside of the plan"
    for run in before["runs"].keys() - left["runs"].keys():
        assert not any(step.startswith(f"{run}.") for step in left["steps"]), "half a run"
    states = dict(execute(empty_ledger, STATES))
    unsure, sure = states.get("intended", 0), states.get("deleted", 0)
    if sessions == 1:
        assert unsure == (point in ("intended", "committed"))
        assert sure == (nth if point == "settled" else nth - 1)
    else:  # the other one may be before or behind any of its steps
        assert (point in ("intended", "committed")) <= unsure <= sessions
        assert nth - 2 <= sure <= nth

    outcome = rig.purge(UNIT)

    after = rig.rows_now()
    gone = {table: before[table].keys() - after[table].keys() for table in before}
    assert gone == expected
    assert rig.counted(UNIT) == {table: len(keys) for table, keys in expected.items()}
    if sessions == 1:
        assert (outcome.settled > 0) is (point == "committed")
    assert dict(execute(empty_ledger, STATES)).keys() == {"deleted"}
    for unit in (RUNS_UNIT, *STEPS_UNITS):
        purged = rig.ledger.deletions.gone(MIGRATION, unit.key).values()
        moment = unit.unit.period
        ((counted,),) = execute(
            database,
            (
                "SELECT count(*) FROM unnest(%s) AS r(row)"
                " WHERE (row::json ->> 'at')::timestamptz >= %s"
                " AND (row::json ->> 'at')::timestamptz < %s",
                (
                    [before[unit.unit.stream][key] for key in expected[unit.unit.stream]],
                    moment.start,
                    moment.end,
                ),
            ),
        )
        assert sum(bucket.count for bucket in purged) == counted
    rig.close()


@pytest.mark.parametrize("point", OBJECT_POINTS)
def test_objects_are_deleted_by_the_next_run_after_a_kill_beside_the_note(
    empty_ledger: str, tmp_path: Path, point: str
) -> None:
    names = ["a", "b/c", "d"]
    for name in [*names, "not ours"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    with Ledger(empty_ledger, who="a test") as ledger:
        pending(ledger, names)

        die("purge_objects_victim", empty_ledger, tmp_path.as_uri(), point, "2")

        assert [(tmp_path / name).exists() for name in names] == [False, False, True]
        noted = 2 if point == "noted" else 1
        left = [item.key for item in ledger.deletions.pending_objects(MIGRATION)]
        assert left == names[noted:]

        report = delete(ledger, tmp_path.as_uri())

        assert (report.objects, report.objects_left) == (len(left), 0)
        assert ledger.deletions.pending_objects(MIGRATION) == []
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["not ours"]
        assert delete(ledger, tmp_path.as_uri()).objects == 0
