"""One DAG for many tenants: each has its own way through it, and its own end."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.ledger.runs import RunOutcome
from devstack.airflow_api import ApiError
from tests.system.migrations import ABSENT_TENANT, GROUP, GROUP_ASKED, prefix
from tests.system.rig import DagRun, System

FEBRUARY = {"from": "2025-02-01", "to": "2025-02-28"}
STREAM = "workflow_app_logs"


def expected(system: System, tenant: str) -> int:
    return system.small.counts.units[STREAM, tenant, "2025-02"].settled


@pytest.mark.ahead(migration=GROUP, streams=["app_logs"], **FEBRUARY)
def test_a_tenant_that_fails_leaves_the_others_alone(system: System, run: DagRun) -> None:
    assert run.finish() == "failed"

    states = run.states()
    assert states["dry_run"] == "success"
    steps = ("backfill", "validate", "swap")
    for batch in (0, 1):
        assert {states[f"tenants.{step}[{batch}]"] for step in (*steps, "report")} == {"success"}
    assert {states[f"tenants.{step}[2]"] for step in steps} == {"skipped"}
    assert states["tenants.report[2]"] == "failed"
    assert "no stream has a row of this tenant" in run.log("dry_run")
    assert "1 of 1 tenants aren't done" in run.log("tenants.report", map_index=2)

    aliases = system.aliases(prefix(GROUP))
    for tenant in system.small.tenants:
        recorded = run.recorded_of(tenant)
        assert recorded.outcome is RunOutcome.COMPLETED
        assert recorded.report is not None
        assert recorded.report["totals"]["documents"] == expected(system, tenant) > 0
        alias = f"{prefix(GROUP)}-workflow-app-logs-{tenant}"
        assert aliases[alias] == {f"{alias}-2025.02-v1"}
    assert run.recorded_of(ABSENT_TENANT).outcome is RunOutcome.FAILED
    found = run.system.client.task_instances(run.dag_id, run.run_id)
    names = {task["rendered_map_index"] for task in found if task["task_id"] == "tenants.report"}
    assert names == {*system.small.tenants, ABSENT_TENANT}


@pytest.mark.ahead(migration=GROUP_ASKED, streams=["app_logs"], **FEBRUARY)
def test_a_person_is_asked_once_for_all_and_a_refusal_swaps_nothing(
    system: System, run: DagRun
) -> None:
    question = run.question()
    assert "2 tenants" in question["body"]
    rows = sum(expected(system, tenant) for tenant in system.small.tenants)
    assert f"2 units, {rows} rows" in question["body"]
    run.answer("Reject")
    assert run.finish() == "failed"

    states = run.states()
    assert {states[f"copies.validate[{batch}]"] for batch in (0, 1)} == {"success"}
    assert {state for name, state in states.items() if name.startswith("tenants.swap")} == {
        "skipped"
    }
    for tenant in system.small.tenants:
        assert run.recorded_of(tenant).outcome is RunOutcome.INTERRUPTED
    assert system.aliases(prefix(GROUP_ASKED)) == {}


@pytest.mark.ahead(migration=GROUP_ASKED, dry_run=True)
def test_a_dry_run_asks_nobody_and_copies_nothing(system: System, run: DagRun) -> None:
    run.succeed()

    states = run.states()
    assert states.pop("dry_run") == "success"
    assert set(states.values()) == {"skipped"}
    for tenant in system.small.tenants:
        recorded = run.recorded_of(tenant)
        assert recorded.outcome is RunOutcome.COMPLETED
        assert recorded.report is not None
        assert recorded.report["dry_run"] is True


@pytest.mark.ahead(migration=GROUP, tenants=["acme", "*"])
def test_an_unknown_tenant_is_one_clear_error(run: DagRun) -> None:
    assert run.finish() == "failed"

    assert "doesn't name 'acme', '*'" in run.log("dry_run")
    assert run.tasks()["dry_run"]["try_number"] == 1


def test_tenants_that_are_no_list_are_refused_at_once(system: System) -> None:
    with pytest.raises(ApiError) as refused:
        system.trigger_for_all(GROUP, "tenants", tenants="all")

    assert refused.value.status == 400
