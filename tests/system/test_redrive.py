"""Refused documents get through by the redrive DAG, once their index takes them."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.certificate import Verdict
from airflow_provider_logmigrate.ledger.runs import RunOutcome
from tests.system.migrations import REFUSED, prefix
from tests.system.rig import DagRun, System


@pytest.mark.ahead(migration=REFUSED)
def test_refused_documents_are_sent_again_and_what_was_withheld_is_swapped(
    system: System, run: DagRun
) -> None:
    run.succeed()
    assert run.recorded.outcome is RunOutcome.COMPLETED_WITH_FINDINGS
    letters = system.ledger.dead_letters.list(REFUSED)
    units = {letter.unit for letter in letters}
    assert letters
    assert {unit["unit"] for unit in run.report["units"] if unit["withheld"]} == units
    lenient = {"properties": {"error": {"type": "long", "ignore_malformed": True}}}
    for index in {letter.index for letter in letters}:
        system.ask("PUT", f"{index}/_mapping", lenient)

    redrive = system.trigger_for_all(REFUSED, "redrive", tenant=run.tenant, streams=["runs"])

    redrive.succeed()
    report = redrive.xcom("redrive")
    assert report.keys() == units
    assert sum(found["arrived"] for found in report.values()) == len(letters)
    certificates = system.certificates(REFUSED)
    assert {certificates[unit].verdict for unit in units} == {Verdict.EQUAL}
    assert {certificates[unit].id for unit in units} == {f["certificate"] for f in report.values()}
    assert system.ledger.dead_letters.list(REFUSED) == []
    for letter in letters:
        found = system.ask("GET", f"{letter.index}/_doc/{letter.key}")
        assert found["_source"]["error"]

    last = system.trigger(REFUSED, run.tenant)

    last.succeed()
    assert last.recorded.outcome is RunOutcome.COMPLETED
    shown = {index for indices in system.aliases(prefix(REFUSED)).values() for index in indices}
    assert {letter.index for letter in letters} <= shown
