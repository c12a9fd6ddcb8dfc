"""Rows that are changed, added or deleted while they are copied."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_logmigrate.core.certificate import FindingKind, Verdict
from airflow_provider_logmigrate.core.errors import CertificateMissing, ProofFailed
from airflow_provider_logmigrate.operators.report import RunUnsuccessful
from tests.integration.operators.errors import told
from tests.integration.operators.stage import Stage

UNIT = "events/acme/2025-01"
LIMITS = {"chunk": "64KiB", "in_flight": 1, "checkpoint_every": "100ms", "page_rows": 300}


def test_changes_during_the_copy_are_found_by_id_and_repaired(each_stage: Stage) -> None:
    stage = each_stage
    stage.configure(limits=LIMITS)
    stage.fill(6_000)
    run = stage.run()
    run.plan()
    store = run.store("backfill 0")

    def change(key: str, value: Any) -> None:
        """Behind the cursor: these rows have been copied, or passed."""
        if key == "checkpoint" and value["record"]["phase"] == "copying":
            store.on_set = lambda key, value: None
            stage.execute("UPDATE events SET note = 'changed' WHERE id = 'e00001'")
            stage.execute("DELETE FROM events WHERE id = 'e00002'")
            stage.add("added", "2025-01-01 00:00:01+00")

    store.on_set = change
    run.backfill()
    with told(
        ProofFailed, UNIT, "stale e00001", "extra e00002", "missing added", retried=False
    ) as caught:
        run.prove()
    assert caught.value.data["units"] == [UNIT]
    with stage.ledger() as ledger:
        certificate = ledger.certificates.latest_by_unit(stage.migration)[UNIT]
    assert certificate.verdict is Verdict.DIFFERENT
    assert {(finding.kind, finding.key) for finding in certificate.tally.listed} == {
        (FindingKind.STALE, "e00001"),
        (FindingKind.EXTRA, "e00002"),
        (FindingKind.MISSING, "added"),
    }
    with told(CertificateMissing, UNIT, "differs", retried=False):
        run.swap()
    assert stage.aliases() == {}

    run = stage.run()
    counted = run.copy()[UNIT]
    assert counted["action"] == "repaired"
    assert counted["read"] < 6_100, "only the hour that differs"
    documents = stage.documents(stage.index(UNIT))
    assert documents["e00001"]["note"] == "changed"
    assert "added" in documents
    with told(ProofFailed, UNIT, "extra e00002", retried=False) as caught:
        run.prove()
    assert "stale" not in str(caught.value)
    assert "missing" not in str(caught.value)
    with pytest.raises(RunUnsuccessful):
        run.report()

    # Only a person can know that the row was meant to go.
    stage.client.request("DELETE", f"/{stage.index(UNIT)}/_doc/e00002")
    assert stage.run().whole()["outcome"] == "completed"


def test_a_row_that_moves_into_the_next_month(stage: Stage) -> None:
    """Its old document is extra, its new one is missing: both units say so by id."""
    stage.configure(**{"from": "2025-01-01", "to": "2025-02-28"})
    stage.fill(50)
    stage.add("mover", "2025-01-31 12:00+00")
    stage.add("other", "2025-02-10 12:00+00")
    run = stage.run()
    run.copy()
    stage.execute("UPDATE events SET at = '2025-02-01 12:00+00' WHERE id = 'mover'")
    with told(ProofFailed, "extra mover", "missing mover", retried=False):
        run.prove()


def test_content_that_was_altered_in_the_engine_is_found_by_the_sample(stage: Stage) -> None:
    """The stored fingerprint still fits, the text doesn't."""
    stage.fill(100)
    run = stage.run()
    run.copy()
    index = stage.index(UNIT)
    forged = stage.documents(index)["e00007"] | {"note": "forged"}
    stage.client.request("PUT", f"/{index}/_doc/e00007", body=forged)
    with told(ProofFailed, UNIT, "altered e00007", "forged", retried=False):
        run.validate(sample=100)


def test_a_source_without_rows_after_the_plan_is_no_success(stage: Stage) -> None:
    from airflow_provider_logmigrate.core.errors import NothingCopied

    stage.fill(50)
    run = stage.run()
    run.plan()
    stage.execute("DELETE FROM events")
    with told(NothingCopied, UNIT, "0 of 50 rows", retried=False):
        run.backfill()
    assert stage.phase(UNIT) == "copying"
