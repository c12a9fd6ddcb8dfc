"""Approvals: a person decides in the web page, here over the same REST calls."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.ledger.runs import RunOutcome
from tests.system.migrations import ASK_FIRST, ASK_LAST, prefix
from tests.system.rig import DagRun, System


@pytest.mark.ahead(migration=ASK_FIRST, streams=["offload"])
def test_an_approved_backfill_runs(system: System, run: DagRun) -> None:
    question = run.question()
    assert "backfill" in question["subject"]
    assert "2 units" in question["body"]
    assert "backfill[0]" not in run.states()
    assert system.gateway.bulks(f"{prefix(ASK_FIRST)}-workflow-node") == []

    run.answer("Approve")

    run.succeed()
    assert run.recorded.outcome is RunOutcome.COMPLETED
    assert {unit["verdict"] for unit in run.report["units"]} == {"equal"}


@pytest.mark.ahead(migration=ASK_FIRST, tenant=1)
def test_a_rejected_backfill_copies_nothing_and_is_reported_as_interrupted(
    system: System, run: DagRun
) -> None:
    run.question()
    run.answer("Reject")

    assert run.finish() == "failed"
    states = run.states()
    assert states.pop("dry_run") == states.pop("approval") == "success"
    assert states.pop("report") == "failed"
    assert set(states.values()) == {"skipped"}
    assert run.recorded.outcome is RunOutcome.INTERRUPTED
    assert run.report["outcome"] == "interrupted"
    assert [name for name in system.indices(prefix(ASK_FIRST)) if run.tenant in name] == []
    assert run.tasks()["report"]["try_number"] == 1


@pytest.mark.ahead(migration=ASK_LAST)
def test_an_approved_swap_makes_readers_see_the_new_indices(system: System, run: DagRun) -> None:
    question = run.question()
    assert "swap" in question["subject"]
    assert run.states()["validate[0]"] == "success"
    aliases = system.aliases(prefix(ASK_LAST))
    assert not any(run.tenant in alias for alias in aliases)

    run.answer("Approve")

    run.succeed()
    aliases = system.aliases(prefix(ASK_LAST))
    for unit in run.report["units"]:
        base = f"{prefix(ASK_LAST)}-{unit['stream'].replace('_', '-')}-{run.tenant}"
        assert unit["index"] in aliases[base]


@pytest.mark.ahead(migration=ASK_LAST, tenant=1, streams=["app_logs"])
def test_a_rejected_swap_leaves_the_aliases_alone_and_is_reported_as_interrupted(
    system: System, run: DagRun
) -> None:
    run.question()
    run.answer("Reject")

    assert run.finish() == "failed"
    assert run.states()["swap"] == "skipped"
    assert run.recorded.outcome is RunOutcome.INTERRUPTED
    # What was copied and proven stays so: only the cut-over is missing.
    assert {unit["verdict"] for unit in run.report["units"]} == {"equal"}
    assert not any(run.tenant in alias for alias in system.aliases(prefix(ASK_LAST)))
