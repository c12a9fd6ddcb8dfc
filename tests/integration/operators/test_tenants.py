"""Many tenants in one DAG run: each has its own run, plan, cut-over and end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import Interrupted, TenantInvalid
from airflow_provider_logmigrate.ledger.runs import RunOutcome
from airflow_provider_logmigrate.operators import tenants_dry_run
from airflow_provider_logmigrate.operators.report import RunUnsuccessful
from tests.integration.operators.errors import told
from tests.integration.operators.many import ManyRun
from tests.integration.operators.stage import Stage

TENANTS = ("acme", "{{ 7 * 6 }}", "empty")
"""The second one is a name and no template; the third one has no rows."""


@pytest.fixture
def many(stage: Stage) -> Stage:
    """Two tenants with rows, one without."""
    stage.configure(tenants=TENANTS)
    stage.fill(60)
    stage.fill(40, tenant=TENANTS[1], first=100)
    return stage


def run(stage: Stage, **params: Any) -> ManyRun:
    return ManyRun(stage, f"manual__{len(params)}", params)


def test_each_tenant_is_migrated_and_one_that_cannot_be_keeps_nobody_from_it(many: Stage) -> None:
    made = run(many)
    states = made.whole()
    planned = made.xcoms["dry_run", -1, "plan"]
    assert (planned["tenants"], planned["failed"], planned["units"]) == (2, 1, 2)
    assert planned["rows"] == 100
    assert [states[f"tenants.report[{batch}]"] for batch in range(3)] == [
        "success", "success", "failed",
    ]  # fmt: skip
    assert [states[f"tenants.backfill[{batch}]"] for batch in range(3)] == [
        "success", "success", "skipped",
    ]  # fmt: skip
    for tenant, rows in zip(TENANTS, (60, 40), strict=False):
        recorded = made.recorded(tenant)
        assert (recorded.tenant, recorded.outcome) == (tenant, RunOutcome.COMPLETED)
        assert recorded.report is not None
        assert recorded.report["totals"]["documents"] == rows
        assert recorded.report["cutover"]
    empty = made.recorded("empty")
    assert empty.outcome is RunOutcome.FAILED
    assert empty.report is not None
    assert "no stream has a row of this tenant" in empty.report["reason"]
    assert many.count(f"{many.prefix}-events-acme") == 60
    assert many.count(f"{many.prefix}-events-_7b_7b_207_20_2a_206_20_7d_7d") == 40
    # Nothing is left to do: a repetition changes nothing.
    again = ManyRun(many, "manual__again", {"tenants": [*TENANTS[:2]]})
    assert set(again.whole().values()) == {"success"}
    assert again.xcoms["tenants.swap", 0, "done"]["acme"]["cutover"] is None
    assert again.xcoms["tenants.backfill", 1, "done"][TENANTS[1]]


def test_tenants_of_one_batch_fail_alone(many: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """More tenants than mapped tasks: the task goes on past the one that fails."""
    monkeypatch.setattr(tenants_dry_run, "MAX_BATCHES", 1)
    # An index that is somebody else's stands where the first tenant's should be made.
    many.execute("INSERT INTO events VALUES ('x', 'acme', '2025-01-05', 'done', NULL)")
    made = run(many, tenants=["acme", TENANTS[1]])
    assert len(made.plan()) == 1
    many.client.request("PUT", f"/{many.index('events/acme/2025-01')}", body={})
    with told_failed("acme"):
        made.step("tenants.backfill", 0)
    assert list(made.xcoms["tenants.backfill", 0, "done"]) == [TENANTS[1]]
    assert list(made.xcoms["tenants.backfill", 0, "failed"]) == ["acme"]
    assert made.step("tenants.validate", 0) == {"tenants": 1}
    assert made.step("tenants.swap", 0) == {"tenants": 1}
    with told(RunUnsuccessful, "1 of 2 tenants aren't done: acme failed", retried=False):
        made.report(0)
    assert made.recorded("acme").outcome is RunOutcome.FAILED
    assert made.recorded(TENANTS[1]).outcome is RunOutcome.COMPLETED
    many.client.request("DELETE", f"/{many.index('events/acme/2025-01')}")


def test_a_dry_run_ends_every_tenants_run_with_the_plan(many: Stage) -> None:
    made = run(many, dry_run=True, tenants=["acme", TENANTS[1]])
    assert made.plan() == []
    for tenant in TENANTS[:2]:
        recorded = made.recorded(tenant)
        assert recorded.outcome is RunOutcome.COMPLETED
        assert recorded.report is not None
        assert recorded.report["dry_run"] is True
    assert many.aliases() == {}


def test_a_dry_run_says_who_cannot_be_planned(many: Stage) -> None:
    made = run(many, dry_run=True)
    with told(RunUnsuccessful, "1 of 3 tenants can't be planned: empty: ", retried=False):
        made.plan()
    assert made.recorded("acme").outcome is RunOutcome.COMPLETED
    assert made.recorded("empty").outcome is RunOutcome.FAILED


def test_a_range_without_rows_is_no_work(many: Stage) -> None:
    made = run(many, tenants=["acme"], **{"from": "2024-01-01", "to": "2024-01-31"})
    assert made.plan() == []
    assert made.recorded("acme").outcome is RunOutcome.COMPLETED


def test_an_unknown_tenant_is_told_before_anything_is_read(many: Stage) -> None:
    made = run(many, tenants=["acme", "globex", "*"])
    with told(TenantInvalid, "doesn't name 'globex', '*'", "run parameter tenants", retried=False):
        made.plan()


def test_a_refused_approval_interrupts_every_tenants_run(many: Stage) -> None:
    made = run(many, tenants=["acme", TENANTS[1]])
    made.plan()
    for batch in range(2):
        made.states["tenants.backfill", batch] = "skipped"
        with told(RunUnsuccessful, "interrupted", retried=False):
            made.report(batch)
    assert made.recorded("acme").outcome is RunOutcome.INTERRUPTED


def test_a_stopped_batch_goes_on_with_the_next_attempt(many: Stage) -> None:
    from airflow_provider_logmigrate.operators.tenants_steps import TenantsBackfillOperator

    made = run(many, tenants=["acme", TENANTS[1]])
    made.plan()
    made.batches = [{"batch": 0, "tenants": [t for b in made.batches for t in b["tenants"]]}]
    stopped: list[TenantsBackfillOperator] = []
    work = TenantsBackfillOperator.work

    def then_stop(self: TenantsBackfillOperator, context: Any, one: Any) -> dict[str, Any]:
        done = work(self, context, one)
        if not stopped:
            stopped.append(self)
            self.on_kill()
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TenantsBackfillOperator, "work", then_stop)
        with told(Interrupted, "Airflow asked the task to stop", retried=True):
            made.step("tenants.backfill", 0)
    assert list(made.xcoms["tenants.backfill", 0, "done"]) == ["acme"]
    assert made.step("tenants.backfill", 0) == {"tenants": 2}
    done = made.xcoms["tenants.backfill", 0, "done"]
    assert done["acme"]["events/acme/2025-01"]["action"] == "current"
    made.step("tenants.validate", 0)
    made.step("tenants.swap", 0)
    assert set(made.report(0).values()) == {"completed"}


def told_failed(tenant: str) -> Any:
    """The step's own error is the failing tenant's."""
    from airflow_provider_logmigrate.core.errors import IndexConflict

    return told(IndexConflict, tenant, retried=False)


def test_what_is_mapped_is_plain_json(many: Stage) -> None:
    made = run(many)
    made.plan()
    assert json.loads(json.dumps(made.batches)) == made.batches
    assert [one["tenant"] for batch in made.batches for one in batch["tenants"]] == [*TENANTS]
