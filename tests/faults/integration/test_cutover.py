"""Cut-overs need a certificate that is still true, and can be undone only as they were done."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.errors import (
    CertificateMissing,
    PlanUnusable,
    TargetRefused,
)
from airflow_provider_logmigrate.ledger.cutovers import CutoverState
from airflow_provider_logmigrate.operators.swap import roll_back
from tests.integration.operators.errors import told
from tests.integration.operators.stage import Run, Stage

UNIT = "events/acme/2025-01"


@pytest.fixture
def copied(stage: Stage) -> Run:
    stage.fill(100)
    run = stage.run()
    run.copy()
    return run


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET note = '8' WHERE id = 'e00007'",
        "DELETE FROM events WHERE id = 'e00007'",
        "INSERT INTO events VALUES ('new', 'acme', '2025-01-05 00:00+00', 'done', '7')",
    ],
    ids=["changed", "deleted", "added"],
)
def test_the_source_changed_after_the_proof(copied: Run, change: str) -> None:
    copied.prove()
    copied.stage.execute(change)
    with told(CertificateMissing, UNIT, "isn't true any more", "validate", retried=False):
        copied.swap()
    assert copied.stage.aliases() == {}


def test_the_index_changed_after_the_proof(copied: Run) -> None:
    stage = copied.stage
    copied.prove()
    stage.client.request("DELETE", f"/{stage.index(UNIT)}/_doc/e00007")
    with told(CertificateMissing, UNIT, "has 99", retried=False):
        copied.swap()
    stage.client.request("PUT", f"/{stage.index(UNIT)}/_doc/other", body={"at": "2025-01-05"})
    with told(CertificateMissing, UNIT, "isn't true any more", retried=False):
        copied.swap()
    assert stage.aliases() == {}


def test_no_proof_no_cut_over(copied: Run) -> None:
    with told(CertificateMissing, UNIT, "has no certificate", retried=False):
        copied.swap()
    assert copied.stage.aliases() == {}


def test_one_unproven_unit_holds_the_whole_cut_over(stage: Stage) -> None:
    stage.configure(lanes=2, **{"from": "2025-01-01", "to": "2025-02-28"})
    stage.fill(50)
    stage.add("feb", "2025-02-10")
    run = stage.run()
    run.copy()
    run.validate(0)
    with told(CertificateMissing, "has no certificate", retried=False):
        run.swap()
    assert stage.aliases() == {}


def test_a_cut_over_of_a_run_that_never_planned(stage: Stage) -> None:
    with told(PlanUnusable, "no such run", retried=False):
        stage.run().swap()


def test_a_rollback_after_somebody_moved_the_alias_changes_nothing(each_stage: Stage) -> None:
    stage = each_stage
    stage.fill(5)
    run = stage.run()
    run.whole()
    cutover = run.xcoms["swap", "return_value"]["cutover"]
    alias = f"{stage.prefix}-events-acme"
    moved = f"{stage.prefix}-moved"
    stage.client.request("PUT", f"/{moved}")
    stage.client.request(
        "POST",
        "/_aliases",
        body={
            "actions": [
                {"remove": {"index": stage.index(UNIT), "alias": alias}},
                {"add": {"index": moved, "alias": alias}},
            ]
        },
    )
    before = stage.aliases()
    with stage.ledger() as ledger:
        stored = ledger.cutovers.get(cutover)
        with told(TargetRefused, alias, retried=False):
            roll_back(stage.client, ledger, stored, by="a test")
        assert ledger.cutovers.get(cutover).state is CutoverState.APPLIED
    assert stage.aliases() == before, "all or nothing"


def test_a_retried_cut_over_is_the_same_one(copied: Run) -> None:
    """The task died between the alias call and the ledger's record of it."""
    from airflow_provider_logmigrate.stores.search import alias

    stage = copied.stage
    copied.prove()
    cutover = copied.swap()["cutover"]
    with stage.ledger() as ledger:
        stored = ledger.cutovers.get(cutover)
    alias.apply(stage.client, stored.inverse)
    assert copied.swap()["cutover"] == cutover
    with stage.ledger() as ledger:
        assert len(ledger.cutovers.list(stage.migration)) == 1
    assert copied.swap()["cutover"] is None, "nothing is left to change"
