"""A tenant's DAG, run by Airflow's scheduler from the plan to the cut-over."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.ledger.runs import RunOutcome
from devstack.sampledata import FULL_TEXT_PHRASE
from tests.system.migrations import WHOLE, prefix
from tests.system.rig import DagRun, System

TOTALS = ("rows", "held_back", "documents", "rejected")


def expected_units(system: System, tenant: str) -> dict[tuple[str, str], dict[str, int]]:
    """Rows, held back and documents of each unit, as the generator counted them."""
    return {
        (table, month): {
            "rows": count.rows,
            "held_back": 0 if table.endswith("_offload") else count.unsettled,
            "documents": count.rows if table.endswith("_offload") else count.settled,
            "rejected": 0,
        }
        for (table, owner, month), count in system.small.counts.units.items()
        if owner == tenant
    }


@pytest.mark.ahead(migration=WHOLE)
def test_everything_arrives_and_every_account_says_so(system: System, run: DagRun) -> None:
    run.succeed()
    tenant = run.tenant
    expected = expected_units(system, tenant)

    assert run.states() == {
        "dry_run": "success",
        "backfill[0]": "success",
        "backfill[1]": "success",
        "validate[0]": "success",
        "validate[1]": "success",
        "swap": "success",
        "report": "success",
    }
    assert run.xcom("dry_run", "plan")["units"] == len(expected)

    report = run.xcom("report")
    units = {(unit["stream"], unit["period"]): unit for unit in report["units"]}
    assert {key: {name: unit[name] for name in TOTALS} for key, unit in units.items()} == expected
    assert {unit["verdict"] for unit in units.values()} == {"equal"}
    assert report["outcome"] == "completed"
    assert report["totals"] | {"pending": 0, "findings": 0} == report["totals"]
    for name in TOTALS:
        assert report["totals"][name] == sum(unit[name] for unit in expected.values())

    assert run.recorded.outcome is RunOutcome.COMPLETED
    assert run.report == report
    states = system.ledger.units.states(WHOLE, tenant=tenant)
    assert {
        (state.stream, state.period): (state.phase.value, state.counters.documents)
        for state in states
    } == {key: ("copied", unit["documents"]) for key, unit in expected.items()}

    indexed: dict[str, int] = {
        entry["index"]: int(entry["docs.count"])
        for entry in system.ask("GET", f"_cat/indices/{prefix(WHOLE)}-*{tenant}*?format=json")
    }
    assert indexed == {units[key]["index"]: counts["documents"] for key, counts in expected.items()}

    aliases = {
        alias: indices
        for alias, indices in system.aliases(prefix(WHOLE)).items()
        if tenant in alias
    }
    for (stream, month), unit in units.items():
        base = f"{prefix(WHOLE)}-{stream.replace('_', '-')}-{tenant}"
        assert aliases.pop(f"{base}-{month.replace('-', '.')}") == {unit["index"]}
        assert unit["index"] in aliases[base]
    assert {len(indices) for indices in aliases.values()} == {2}  # both months
    assert len(aliases) == 4  # one for each stream

    for index in indexed:
        assert system.settings(index)["refresh_interval"] == "7s"


@pytest.mark.ahead(migration=WHOLE, tenant=1)
def test_a_migrated_run_is_found_by_its_words_through_the_alias(
    system: System, run: DagRun
) -> None:
    run.succeed()
    alias = f"{prefix(WHOLE)}-workflow-runs-{run.tenant}"
    query = {
        "multi_match": {
            "query": FULL_TEXT_PHRASE,
            "type": "phrase",
            "fields": ["inputs", "outputs"],
        }
    }

    hits = system.ask("POST", f"{alias}/_search", {"query": query, "size": 100})["hits"]["hits"]

    assert hits
    for hit in hits:
        assert FULL_TEXT_PHRASE in (hit["_source"]["inputs"] or "") + (
            hit["_source"]["outputs"] or ""
        )
        assert hit["_source"]["tenant_id"] == run.tenant


@pytest.mark.ahead(migration=WHOLE, tenant=1, times=2)
def test_a_second_run_changes_nothing(system: System, runs: list[DagRun]) -> None:
    first, run = runs
    run.succeed()

    assert {unit["action"] for unit in first.copied().values()} == {"copied"}
    assert {unit["action"] for unit in run.copied().values()} == {"current"}
    assert run.report["totals"] == first.report["totals"]
    assert run.recorded.plan_hash == first.recorded.plan_hash
    assert first.xcom("swap")["actions"] > 0
    assert run.xcom("swap")["cutover"] is None
    assert run.xcom("swap")["actions"] == 0
    # Every document is as the first run wrote it: none was sent again.
    sent = system.gateway.sent(f"{prefix(WHOLE)}-workflow-runs-{run.tenant}")
    assert len(sent) == len(set(sent)) > 0


@pytest.mark.ahead(migration=WHOLE)
def test_progress_checkpoint_and_report_link_are_seen_in_airflow(
    system: System, run: DagRun
) -> None:
    run.succeed()
    for lane in (0, 1):
        state = run.task_state("backfill", lane)
        copied = run.xcom("backfill", map_index=lane)["units"]
        checkpoint = state["checkpoint"]
        assert checkpoint["lane"] == state["progress"]["lane"] == lane
        record = checkpoint["record"]
        assert record["phase"] == "copied"
        assert record["counters"]["documents"] == copied[record["unit"]]["documents"]
        assert state["progress"]["unit"] == record["unit"]

    links = system.client.get(f"{run.path}/taskInstances/backfill/links?map_index=0")
    target = links["extra_links"]["Unit report"]
    assert target.startswith("/dags/")
    assert target.endswith("/tasks/report")
    assert run.dag_id in target
