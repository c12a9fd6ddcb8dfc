"""What a person may ask of a single run: ``airflow dags trigger --conf``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_logmigrate.ledger.runs import RunOutcome
from devstack.airflow_api import ApiError
from tests.system.migrations import CHOICE, prefix
from tests.system.rig import DagRun, System

FEBRUARY = {"from": "2025-02-01", "to": "2025-02-28"}


@pytest.mark.ahead(migration=CHOICE, streams=["runs", "app_logs"], **FEBRUARY)
def test_streams_and_days_narrow_a_run(system: System, run: DagRun) -> None:
    run.succeed()

    assert {(unit["stream"], unit["period"]) for unit in run.report["units"]} == {
        ("workflow_runs", "2025-02"),
        ("workflow_app_logs", "2025-02"),
    }
    base = f"{prefix(CHOICE)}-workflow"
    assert [name for name in system.indices(prefix(CHOICE)) if run.tenant in name] == [
        f"{base}-app-logs-{run.tenant}-2025.02-v1",
        f"{base}-runs-{run.tenant}-2025.02-v1",
    ]


@pytest.mark.ahead(migration=CHOICE, tenant=1, dry_run=True)
def test_a_dry_run_stops_after_the_plan(system: System, run: DagRun) -> None:
    run.succeed()

    states = run.states()
    assert states.pop("dry_run") == states.pop("report") == "success"
    assert set(states.values()) == {"skipped"}
    assert run.report["dry_run"] is True
    assert run.recorded.outcome is RunOutcome.COMPLETED
    expected = sum(
        count.rows
        for (_, owner, _), count in system.small.counts.units.items()
        if owner == run.tenant
    )
    assert sum(unit["rows"] for unit in run.report["units"]) == expected
    log = run.log("dry_run")
    assert run.report["plan"] in log, log
    assert f"{len(run.report['units'])} units, " in log, log
    assert [name for name in system.indices(prefix(CHOICE)) if run.tenant in name] == []
    assert system.ledger.units.states(CHOICE, tenant=run.tenant) == []
    templates = system.ask("GET", "_index_template")["index_templates"]
    own = [entry["name"] for entry in templates if entry["name"].startswith(prefix(CHOICE))]
    # The other test's run of this migration made those of its two streams.
    assert not any("offload" in name or "node-executions" in name for name in own)


@pytest.mark.parametrize(
    "conf",
    [
        {"from": "the first of May"},
        {"to": 20250228},
        {"dry_run": "perhaps"},
        {"sample": -1},
        {"sample": "many"},
        {"streams": {"runs": True}},
    ],
    ids=lambda conf: next(iter(conf)),
)
def test_a_wrong_parameter_is_refused_at_once(system: System, conf: Mapping[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        system.trigger(CHOICE, system.small.tenants[0], **conf)

    assert refused.value.status == 400
    assert next(iter(conf)) in refused.value.body


def test_an_unknown_stream_in_a_list_is_refused_at_once(system: System) -> None:
    with pytest.raises(ApiError) as refused:
        system.trigger(CHOICE, system.small.tenants[0], streams=["workflow_rums"])

    assert refused.value.status == 400
    assert "workflow_rums" in refused.value.body


@pytest.mark.ahead(migration=CHOICE, tenant=1, streams="workflow_rums")
def test_an_unknown_stream_given_as_text_is_one_clear_error_without_a_retry(run: DagRun) -> None:
    assert run.finish() == "failed"

    assert run.tasks()["dry_run"]["try_number"] == 1
    log = run.log("dry_run")
    assert "unknown stream 'workflow_rums'" in log, log
    assert "workflow_node_executions" in log  # what there is instead
    assert "Next: name streams of the migration" in log, log
    assert run.report == {"outcome": "failed", "reason": "there is no plan"}
    assert run.recorded.outcome is RunOutcome.FAILED
    assert run.tasks()["report"]["try_number"] == 1


@pytest.mark.ahead(migration=CHOICE, **{"from": "2025-02-10", "to": "2025-02-01"})
def test_days_in_the_wrong_order_are_one_clear_error_without_a_retry(run: DagRun) -> None:
    assert run.finish() == "failed"

    assert run.tasks()["dry_run"]["try_number"] == 1
    assert "from 2025-02-10 is after to 2025-02-01" in run.log("dry_run")
