"""Runs and history."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.plan import Plan
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.ledger.runs import RunOutcome


def test_a_run_from_start_to_end(ledger: Ledger) -> None:
    started = ledger.runs.start(run_id="dag/run 1", migration="dify", tenant="acme")
    ledger.runs.start(run_id="dag/run 1", migration="dify", tenant="acme", plan_hash="p")
    ended = ledger.runs.end(
        "dag/run 1",
        RunOutcome.COMPLETED_WITH_FINDINGS,
        report={"rows": 3, "odd": ["a\0b", "\ud800"], "rate": float("nan"), "none": None},
    )

    assert (started.outcome, started.ended_at, started.plan_hash) == (
        RunOutcome.RUNNING,
        None,
        None,
    )
    assert (ended.plan_hash, ended.started_at) == ("p", started.started_at)
    assert ended.ended_at is not None
    assert ended.report == {
        "rows": 3,
        "odd": ["a\u2400b", "\\ud800"],
        "rate": "nan",
        "none": None,
    }
    assert ledger.runs.get("dag/run 1") == ended


def test_a_cleared_run_runs_again_and_keeps_its_plan(ledger: Ledger) -> None:
    ledger.runs.start(run_id="r", migration="dify", tenant="acme", plan_hash="p")
    ledger.runs.end("r", RunOutcome.FAILED, report={})
    again = ledger.runs.start(run_id="r", migration="dify", tenant="acme")

    assert (again.outcome, again.ended_at, again.plan_hash) == (RunOutcome.RUNNING, None, "p")
    assert ledger.runs.end("r", RunOutcome.COMPLETED, report={}).outcome is RunOutcome.COMPLETED


def test_a_run_that_never_started_is_refused(ledger: Ledger) -> None:
    with pytest.raises(PlanUnusable, match="no such run"):
        ledger.runs.end("nope", RunOutcome.COMPLETED, report={})
    assert ledger.history.list() == []


def test_listing_shows_the_newest_first(ledger: Ledger) -> None:
    for run_id, tenant in [("r1", "acme"), ("r2", "zoo"), ("r3", "acme")]:
        ledger.runs.start(run_id=run_id, migration="dify", tenant=tenant)

    assert [run.id for run in ledger.runs.list("dify")] == ["r3", "r2", "r1"]
    assert [run.id for run in ledger.runs.list("dify", tenant="acme")] == ["r3", "r1"]
    assert ledger.runs.list("elsewhere") == []


def test_history_says_who_did_what(ledger: Ledger, database: str, plan: Plan) -> None:
    ledger.plans.save(plan)
    with Ledger(database, who="someone\0 else") as other:
        other.runs.start(run_id="r", migration="dify", tenant="acme", plan_hash=plan.hash)
        other.runs.end("r", RunOutcome.INTERRUPTED, report={})

    told = [(entry.who, entry.action, entry.subject) for entry in ledger.history.list()]
    assert told == [
        ("someone\u2400 else", "run.ended", "r"),
        ("someone\u2400 else", "run.started", "r"),
        ("tester", "plan.saved", plan.hash),
    ]
    (saved,) = ledger.history.list(subject=plan.hash)
    assert saved.detail == {"migration": "dify", "tenant": "Ac*me, Ltd", "units": 2, "rows": 20}
    assert saved.at.tzinfo is not None
    assert len(ledger.history.list(limit=1)) == 1
