"""Following a source that is still written to: each run leaves the open month in step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_logmigrate.core.unit import month_of
from tests.integration.operators.many import ManyRun
from tests.integration.operators.stage import EVENT_STREAM, Stage

NOW = datetime.now(timezone.utc)
THIS_MONTH = month_of(NOW)
LAST_MONTH = month_of(THIS_MONTH.start - timedelta(days=1))
UNIT, OLDER = (f"events/acme/{month.label}" for month in (THIS_MONTH, LAST_MONTH))
STREAM = EVENT_STREAM | {"settled": {"column": "state", "values": ["done"]}}
STEPS = ("tenants.follow", "tenants.swap")


class FollowRun(ManyRun):
    """One run of the DAG that follows."""

    @property
    def dag_id(self) -> str:
        return f"logmigrate_{self.stage.migration}.follow"

    def whole(self) -> dict[str, str]:
        from airflow_provider_logmigrate.operators.follow import (
            FollowOperator,
            FollowPlanOperator,
            FollowSwapOperator,
        )
        from airflow_provider_logmigrate.operators.tenants_report import TenantsReportOperator

        name = {"migration": self.stage.migration}
        self.batches = self._run(FollowPlanOperator(task_id="dry_run", **name), -1)
        for number, batch in enumerate(self.batches):
            given: dict[str, Any] = {**name, "batch": batch}
            self._run(FollowOperator(task_id=STEPS[0], **given), number)
            self._run(FollowSwapOperator(task_id=STEPS[1], after=STEPS[0], **given), number)
            report = TenantsReportOperator(task_id="tenants.report", steps=STEPS, **given)
            self._run(report, number)
        outcomes = self.xcoms["tenants.report", 0, "return_value"]
        assert isinstance(outcomes, dict)
        return outcomes

    def did(self) -> Any:
        """What was copied for the first time."""
        done = self.xcoms["tenants.follow", 0, "done"]["acme"]
        return {unit: counts["action"] for unit, counts in done.items()}

    def swapped(self) -> Any:
        return self.xcoms["tenants.swap", 0, "done"]["acme"]


@pytest.fixture
def live(stage: Stage) -> Stage:
    stage.configure(
        streams={"events": STREAM},
        to=None,
        reconcile={},
        follow={"closed_for": "40d"},
        **{"from": f"{LAST_MONTH.start:%Y-%m-%d}"},
    )
    add(stage, LAST_MONTH.start, 1, 30)
    add(stage, THIS_MONTH.start, 31, 50)
    return stage


def add(stage: Stage, at: datetime, first: int, last: int, state: str = "done") -> None:
    stage.execute(
        "INSERT INTO events SELECT 'e' || n, 'acme', %s, %s, '7' FROM generate_series(%s, %s) AS n",
        (at, state, first, last),
    )


@pytest.fixture
def runs(live: Stage) -> Iterator[FollowRun]:
    return (FollowRun(live, f"scheduled__{number}") for number in range(9))


def proofs(stage: Stage, unit: str) -> int:
    with stage.ledger() as ledger:
        history = ledger.history.list(subject=f"{stage.migration}/{unit}")
    return [entry.action for entry in history].count("certificate.saved")


def test_open_months_are_copied_shown_and_kept_in_step(
    live: Stage, runs: Iterator[FollowRun]
) -> None:
    stage, alias = live, f"{live.prefix}-events-acme"
    first = next(runs)
    assert first.whole() == {"acme": "completed"}
    assert first.did() == {UNIT: "copied", OLDER: "copied"}
    assert (first.swapped()["swapped"], stage.count(alias)) == (2, 50)

    before = proofs(stage, UNIT)
    second = next(runs)
    assert second.whole() == {"acme": "completed"}
    assert (second.did(), second.swapped()["cutover"]) == ({}, None)
    assert proofs(stage, UNIT) == before + 1, "one proof where nothing has changed"

    add(stage, THIS_MONTH.start, 51, 60)
    add(stage, THIS_MONTH.start, 61, 61, state="running")
    stage.execute("UPDATE events SET note = 'changed' WHERE id IN ('e1', 'e40')")
    third = next(runs)
    assert third.whole() == {"acme": "completed"}
    assert third.did() == {}
    documents = stage.documents(alias)
    assert len(documents) == 60
    assert {documents[key]["note"] for key in ("e1", "e40")} == {"changed"}
    stage.execute("DELETE FROM events WHERE id = 'e45'")
    removing = FollowRun(stage, "manual__1", {"remove_extras": True})
    assert removing.whole() == {"acme": "completed"}
    assert "e45" not in stage.documents(alias)


def test_a_copy_that_another_dag_has_begun_is_left_to_it(
    live: Stage, runs: Iterator[FollowRun]
) -> None:
    run = live.run()
    run.plan()
    with live.ledger() as ledger:
        plan = ledger.plans.load(run.lanes[0]["plan"])
        (open_one,) = [unit for unit in plan.units if unit.key == UNIT]
        attempt = ledger.units.begin_attempt()
        ledger.units.claim(live.migration, open_one, attempt=attempt, holder=f"{run.key} lane 0")
        followed = next(runs)
        assert followed.whole() == {"acme": "completed"}
        assert followed.did() == {OLDER: "copied"}
        ledger.units.check(live.migration, UNIT, attempt=attempt)
