"""SIGKILL between each pair of steps of a purge: a later run finishes, and every count is right."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.integration.postgres.purge_fixtures import empty_ledger, ledger_dsn
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


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_purge_is_finished_by_the_next_one(
    database: str,
    empty_ledger: str,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    nth = 3
    small_batches(monkeypatch.setattr)
    rig = PurgeRig(database, empty_ledger)
    rig.copy()
    before = rig.rows_now()
    expected = whole_runs(before)
    command = "tests.integration.postgres.purge_victim"

    victim = subprocess.run(
        [sys.executable, "-m", command, database, empty_ledger, point, str(nth)],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert victim.returncode == -signal.SIGKILL, victim.stderr
    left = rig.rows_now()
    for table, rows in left.items():
        assert rows.items() <= before[table].items()
        assert before[table].keys() - rows.keys() <= expected[table], "a row outside of the plan"
    for run in before["runs"].keys() - left["runs"].keys():
        assert not any(step.startswith(f"{run}.") for step in left["steps"]), "half a run"
    states = dict(execute(empty_ledger, STATES))
    assert states.get("intended", 0) == (point in ("intended", "committed"))
    assert states.get("deleted", 0) == (nth if point == "settled" else nth - 1)

    outcome = rig.purge(UNIT)

    after = rig.rows_now()
    gone = {table: before[table].keys() - after[table].keys() for table in before}
    assert gone == expected
    assert rig.counted(UNIT) == {table: len(keys) for table, keys in expected.items()}
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
