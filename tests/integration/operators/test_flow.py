"""Plan, copy, proof, cut-over, a second run, rollback: the operators on real servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_logmigrate.core.errors import ProofFailed
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.ledger.cutovers import CutoverState
from airflow_provider_logmigrate.ledger.runs import RunOutcome
from airflow_provider_logmigrate.operators.report import RunUnsuccessful
from airflow_provider_logmigrate.operators.swap import roll_back
from devstack.sampledata import FULL_TEXT_PHRASE, PROFILES, Counts, DifySchema
from devstack.sampledata.load import load
from tests.integration.operators.errors import told
from tests.integration.operators.stage import Stage

if TYPE_CHECKING:
    from devstack.engine import SearchEngine
    from tests.integration.operators.fixtures import StageMaker

PROFILE = replace(PROFILES["test"], runs_per_month=12, orphan_offloads=0, missing_files=1)
TENANT = PROFILE.tenant_ids[1]
"""The one with the missing file."""


def dify(maker: StageMaker, engine: SearchEngine, schema: DifySchema, files: Path) -> Counts:
    stage = maker(engine, events=False)
    loaded = load(stage.source_dsn, PROFILE, schema, files)
    stage.configure(
        tenants=PROFILE.tenant_ids,
        pack="dify",
        streams=None,
        to=PROFILE.last_day,
        lanes=2,
        settle_lag="15m",
        offload={"url": f"file://{files}"},
    )
    return loaded.counts


def settled(counts: Counts, tenant: str) -> dict[str, int]:
    """Rows to be copied by unit key, from the generator's own knowledge.

    Rows of the offload table are written once and never change: they wait for no run.
    """
    return {
        f"{table}/{owner}/{month}": count.rows if table.endswith("_offload") else count.settled
        for (table, owner, month), count in counts.units.items()
        if owner == tenant
    }


def test_the_whole_way(search_engine: SearchEngine, stage_on: StageMaker, tmp_path: Path) -> None:
    counts = dify(stage_on, search_engine, DifySchema.NEW, tmp_path / "files")
    (stage,) = stage_on.made
    wanted = settled(counts, TENANT)

    first = stage.run(TENANT)
    copied = first.copy()
    assert len(first.lanes) == 2
    assert {unit: counted["documents"] for unit, counted in copied.items()} == wanted
    assert {counted["action"] for counted in copied.values()} == {"copied"}
    assert {unit["verdict"] for unit in first.prove().values()} == {"equal"}
    assert stage.aliases() == {}, "nothing is visible before the cut-over"
    swapped = first.swap()
    assert sorted(swapped["swapped"]) == sorted(wanted)
    report = first.report()
    assert report["outcome"] == "completed_with_findings", "one offloaded file is missing"
    assert report["totals"]["findings"] == 1
    assert report["totals"]["documents"] == sum(wanted.values())
    rows = sum(count.rows for (_, owner, _), count in counts.units.items() if owner == TENANT)
    assert report["totals"]["rows"] == rows
    assert report["totals"]["held_back"] == rows - sum(wanted.values()) > 0

    readers = f"{stage.prefix}-workflow-runs-{TENANT}"
    assert stage.count(readers) == sum(n for k, n in wanted.items() if k.startswith("workflow_ru"))
    assert len(stage.aliases()[readers]) == PROFILE.months
    for unit in wanted:
        settings = stage.settings(stage.index(unit))
        assert settings["index.refresh_interval"] == "30s"
        assert settings["index.number_of_replicas"] == "0"
    hits = stage.client.request(
        "POST",
        f"/{stage.prefix}-workflow-node-executions-{TENANT}/_search",
        body={"query": {"multi_match": {"query": FULL_TEXT_PHRASE, "type": "phrase"}}},
    ).data["hits"]["hits"]
    assert hits
    assert {hit["_source"]["tenant_id"] for hit in hits} == {TENANT}

    again = stage.run(TENANT)
    assert {unit["action"] for unit in again.copy().values()} == {"current"}
    assert [lane["plan"] for lane in again.lanes] == [lane["plan"] for lane in first.lanes]
    again.prove()
    assert again.swap()["cutover"] is None, "everything is right already"
    assert again.report()["outcome"] == "completed_with_findings"

    before = stage.aliases()
    with stage.ledger() as ledger:
        roll_back(stage.client, ledger, ledger.cutovers.get(swapped["cutover"]), by="a test")
        assert ledger.cutovers.get(swapped["cutover"]).state is CutoverState.ROLLED_BACK
    assert stage.aliases() == {}
    third = stage.run(TENANT)
    third.plan()
    assert third.swap()["cutover"] not in (None, swapped["cutover"])
    assert stage.aliases() == before


def test_an_old_installation(
    opensearch_server: SearchEngine, stage_on: StageMaker, tmp_path: Path
) -> None:
    """No index on created_at and no offload table: read otherwise, proven the same."""
    counts = dify(stage_on, opensearch_server, DifySchema.OLD, tmp_path / "files")
    (stage,) = stage_on.made
    run = stage.run(TENANT)
    report = run.whole()

    wanted = settled(counts, TENANT)
    assert {unit["unit"]: unit["documents"] for unit in report["units"]} == wanted
    assert {unit["verdict"] for unit in report["units"]} == {"equal"}
    assert not any("offload" in unit for unit in wanted)
    warnings = " ".join(run.xcoms["dry_run", "plan"]["warnings"])
    assert "CONCURRENTLY" in warnings, "the index that would help is named"


def test_another_mapping_makes_the_next_version_beside_the_first(each_stage: Stage) -> None:
    stage, unit = each_stage, "events/acme/2025-01"
    stage.fill(300)
    stage.run().whole()
    old, new = stage.index(unit), stage.index(unit, 2)
    stage.configure(
        streams={
            "events": {
                "table": "events",
                "event_time": "at",
                "tenant_column": "tenant",
                "fields": {"note": {"type": "keyword"}},
            }
        }
    )
    run = stage.run()
    assert run.copy()[unit]["action"] == "copied"
    assert {index for held in stage.aliases().values() for index in held} == {old}
    run.prove()
    swapped = run.swap()
    assert {index for held in stage.aliases().values() for index in held} == {new}
    assert stage.count(old) == stage.count(new) == 300

    with stage.ledger() as ledger:
        roll_back(stage.client, ledger, ledger.cutovers.get(swapped["cutover"]), by="a test")
    assert {index for held in stage.aliases().values() for index in held} == {old}


def test_a_plan_made_before_the_mapping_changed_is_not_carried_out(stage: Stage) -> None:
    from airflow_provider_logmigrate.core.errors import PlanUnusable

    stage.fill(10)
    run = stage.run()
    run.plan()
    stage.execute("ALTER TABLE events ADD COLUMN extra text")
    with told(PlanUnusable, "events/acme/2025-01", "dry_run", retried=False):
        run.backfill()
    assert stage.aliases() == {}


def test_a_dry_run_writes_nothing_but_the_plan(stage: Stage) -> None:
    stage.fill(10)
    run = stage.run(dry_run=True)
    assert run.plan() == []
    assert run.xcoms["dry_run", "plan"]["rows"] == 10
    assert run.report()["outcome"] == "completed"
    assert stage.client.request("GET", f"/{stage.prefix}-*/_alias").data == {}
    templates = stage.client.request("GET", "/_index_template").data["index_templates"]
    assert not [t for t in templates if t["name"].startswith(stage.prefix)]
    with stage.ledger() as ledger:
        assert ledger.units.states(stage.migration) == []
        assert ledger.runs.get(run.key).outcome is RunOutcome.COMPLETED


def test_unsettled_rows_wait_for_a_later_run(stage: Stage) -> None:
    rule = {"column": "state", "values": ["done"]}
    stage.configure(
        streams={
            "events": {
                "table": "events",
                "event_time": "at",
                "tenant_column": "tenant",
                "settled": rule,
            }
        }
    )
    stage.fill(50)
    stage.execute("UPDATE events SET state = 'running' WHERE id < 'e00005'")
    report = stage.run().whole()
    assert (report["totals"]["documents"], report["totals"]["held_back"]) == (45, 5)
    assert report["totals"]["rows"] == 50

    stage.execute("UPDATE events SET state = 'done'")
    run = stage.run()
    assert run.copy()["events/acme/2025-01"]["action"] == "repaired"
    run.prove()
    run.swap()
    assert run.report()["totals"]["documents"] == 50
    assert set(stage.documents(stage.index("events/acme/2025-01"))) == {
        f"e{n:05}" for n in range(50)
    }


def test_a_report_after_a_failed_proof_says_failed(stage: Stage) -> None:
    stage.fill(20)
    run = stage.run()
    run.copy()
    stage.execute("DELETE FROM events WHERE id = 'e00003'")
    with pytest.raises(ProofFailed):
        run.prove()
    with told(RunUnsuccessful, "failed", run.key, retried=False):
        run.report()
    with stage.ledger() as ledger:
        assert ledger.runs.get(run.key).outcome is RunOutcome.FAILED


def test_a_report_without_a_cut_over_says_interrupted(stage: Stage) -> None:
    """Somebody rejected the approval: copied, but not proven."""
    stage.fill(20)
    run = stage.run()
    run.copy()
    with told(RunUnsuccessful, "interrupted", retried=False):
        run.report()


def test_days_as_periods(stage: Stage) -> None:
    stage.configure(period="day")
    stage.fill(62)
    run = stage.run(**{"from": "2025-01-10", "to": "2025-01-11"})
    assert sorted(run.copy()) == ["events/acme/2025-01-10", "events/acme/2025-01-11"]
    assert Unit.from_key("events/acme/2025-01-10").period.label == "2025-01-10"
    assert {unit["rows"] for unit in run.prove().values()} == {2}
