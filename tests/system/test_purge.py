"""Proven rows leave the source by their DAG, are still found, and come back as they were."""

from __future__ import annotations

from hashlib import sha256

import psycopg
import pytest
from psycopg import sql

from devstack.sampledata import FULL_TEXT_PHRASE, DifySchema
from devstack.sampledata.schema import COLUMNS
from tests.system.migrations import LEAVING_PROFILE, PURGED, prefix
from tests.system.rig import DagRun, System, assert_same

RUNS = "workflow_runs"


def source(system: System) -> dict[tuple[str, str], str]:
    """Every column of every row by table and key, and every offloaded file's digest."""
    found: dict[tuple[str, str], str] = {}
    with psycopg.connect(system.leaving.dsn) as connection:
        for table in COLUMNS[DifySchema.NEW]:
            query = sql.SQL("SELECT id::text, t::text FROM {} AS t").format(sql.Identifier(table))
            found |= {(table, key): row for key, row in connection.execute(query)}
    for path in (system.storage / LEAVING_PROFILE.name).rglob("*"):
        if path.is_file():
            found["file", path.name] = sha256(path.read_bytes()).hexdigest()
    return found


def found_by_words(system: System, tenant: str) -> set[str]:
    """Runs with the sample's phrase, through the readers' alias."""
    fields = ["inputs", "outputs"]
    query = {"multi_match": {"query": FULL_TEXT_PHRASE, "type": "phrase", "fields": fields}}
    path = f"{prefix(PURGED)}-workflow-runs-{tenant}/_search"
    hits = system.ask("POST", path, {"query": query, "size": 100})["hits"]["hits"]
    return {hit["_id"] for hit in hits}


@pytest.mark.ahead(migration=PURGED)
def test_approved_rows_leave_are_still_found_and_come_back_as_they_were(
    system: System, run: DagRun
) -> None:
    run.succeed()
    before = source(system)
    purge = system.trigger_for_all(PURGED, "purge", tenant=run.tenant)
    question = purge.question()
    plan = purge.xcom("plan")
    assert run.tenant in question["subject"]
    assert (
        f"`{plan['plan']}`: {plan['units']} units, at most {plan['rows']} rows" in question["body"]
    )
    assert_same(source(system), before)

    purge.answer("Approve")
    purge.succeed()

    report, after = purge.xcom("purge"), source(system)
    assert_same(after, {key: row for key, row in before.items() if key in after})
    gone = before.keys() - after.keys()
    counts = {table: sum(name == table for name, _ in gone) for table in COLUMNS[DifySchema.NEW]}
    assert {table: n for table, n in counts.items() if n} == report["rows"]
    assert sum(counts.values()) == plan["rows"]
    assert (report["stayed"], report["objects_left"]) == ({}, 0)
    # What the generator counted as settled, and a file for each row that named one.
    settled = {key: unit.settled for key, unit in system.leaving.counts.units.items()}
    assert counts[RUNS] == sum(
        n for (table, tenant, _), n in settled.items() if (table, tenant) == (RUNS, run.tenant)
    )
    assert sum(name == "file" for name, _ in gone) == report["objects"] > 0
    hits = found_by_words(system, run.tenant)
    assert hits & {key for table, key in gone if table == RUNS}

    restore = system.trigger_for_all(PURGED, "restore", tenant=run.tenant)
    restore.succeed()

    assert_same(source(system), before)
    assert sum(unit["rows"] for unit in restore.xcom("restore").values()) == plan["rows"]


@pytest.mark.ahead(migration=PURGED, tenant=1)
def test_a_rejected_purge_deletes_nothing(system: System, run: DagRun) -> None:
    run.succeed()
    before = source(system)
    purge = system.trigger_for_all(PURGED, "purge", tenant=run.tenant)
    purge.question()

    purge.answer("Reject")

    assert purge.finish() == "success"
    assert purge.states() == {"plan": "success", "approval": "success", "purge": "skipped"}
    assert_same(source(system), before)


@pytest.mark.ahead(migration=PURGED, role="purge", plan="0" * 64)
def test_a_wrong_hash_is_one_clear_error_and_nobody_is_asked(run: DagRun) -> None:
    assert run.finish() == "failed"

    assert run.states() == {
        "plan": "failed",
        "approval": "upstream_failed",
        "purge": "upstream_failed",
    }
    assert run.tasks()["plan"]["try_number"] == 1
    assert f"the ledger has no such purge plan [purge plan {'0' * 64}]. Next: " in run.log("plan")
