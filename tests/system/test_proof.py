"""Documents that change behind the migration's back: no cut-over without a proof that holds."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.certificate import Verdict
from airflow_provider_logmigrate.ledger.runs import RunOutcome
from tests.system.migrations import ALTERED, BROKEN, prefix
from tests.system.rig import DagRun, System


def some_document(system: System, index: str) -> str:
    """The id of a document."""
    hits = system.ask("POST", f"{index}/_search", {"size": 1, "_source": False})["hits"]["hits"]
    return str(hits[0]["_id"])


@pytest.mark.ahead(migration=ALTERED)
def test_what_changed_in_the_index_is_repaired_and_extras_go_only_when_told(
    system: System, run: DagRun
) -> None:
    run.succeed()
    aliases = system.aliases(prefix(ALTERED))
    index = f"{prefix(ALTERED)}-workflow-runs-{run.tenant}-2025.01-v1"
    key = some_document(system, index)
    whole = system.ask("GET", f"{index}/_doc/{key}")["_source"]
    # The fingerprint stored beside it stays as it was: only a look at the content can tell.
    change = {"doc": {"outputs": "what nobody ever said"}}
    system.ask("POST", f"{index}/_update/{key}?refresh=true", change)
    # On another day: a backfill copies all of an hour that differs, the altered document with it.
    day = "02" if whole["created_at"][8:10] != "02" else "03"
    at = f"2025-01-{day}T00:30:00+00:00"
    stray = {"id": "stranger", "tenant_id": run.tenant, "created_at": at}
    system.ask("PUT", f"{index}/_doc/stranger?refresh=true", stray)

    later = system.trigger(ALTERED, run.tenant, sample=1000, streams=["runs"])

    assert later.finish() == "failed"
    states = later.states()
    assert states["backfill[0]"] == "success"
    assert states["validate[0]"] == "failed"
    assert states["swap"] == "upstream_failed"
    assert later.tasks()["validate[0]"]["try_number"] == 1
    log = later.log("validate", 1, 0)
    assert f"altered {key} outputs" in log, log
    assert "extra stranger" in log, log
    assert later.recorded.outcome is RunOutcome.FAILED
    (wrong,) = [unit for unit in later.report["units"] if unit["verdict"] != "equal"]
    assert (wrong["index"], wrong["verdict"]) == (index, "different")
    certificate = system.certificates(ALTERED)[wrong["unit"]]
    assert [finding.key for finding in certificate.tally.listed] == ["stranger"]
    assert system.ask("GET", f"{index}/_doc/{key}")["_source"] == whole

    last = system.trigger(ALTERED, run.tenant, remove_extras=True, streams=["runs"])

    last.succeed()
    assert system.certificates(ALTERED)[wrong["unit"]].verdict is Verdict.EQUAL
    found = system.ask("GET", f"{index}/_search?q=id:stranger")["hits"]["hits"]
    assert found == []
    assert system.aliases(prefix(ALTERED)) == aliases


@pytest.mark.ahead(migration=BROKEN, streams=["runs"])
def test_a_certificate_that_is_not_true_any_more_forbids_the_swap(
    system: System, run: DagRun
) -> None:
    run.question()
    index = f"{prefix(BROKEN)}-workflow-runs-{run.tenant}-2025.02-v1"
    key = some_document(system, index)
    system.ask("DELETE", f"{index}/_doc/{key}?refresh=true")

    run.answer("Approve")

    assert run.finish() == "failed"
    assert run.tasks()["swap"]["try_number"] == 1
    log = run.log("swap")
    assert "isn't true any more" in log, log
    assert f"workflow_runs/{run.tenant}/2025-02" in log, log
    assert run.recorded.outcome is RunOutcome.FAILED
    assert run.report["outcome"] == "failed"
    assert system.aliases(prefix(BROKEN)) == {}
    assert system.ledger.cutovers.list(BROKEN) == []
