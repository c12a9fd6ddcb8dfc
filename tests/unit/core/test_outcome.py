"""How a run ended: what is recorded decides, and nothing odd is called completed."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.outcome import Outcome, UnitReport, outcome_of
from airflow_provider_logmigrate.core.plan import Estimate
from tests.unit.core.building import plan
from tests.unit.core.test_certificate import PLAIN

GOOD = UnitReport(
    stream="runs",
    period="2025-01",
    unit="runs/t1/2025-01",
    index="dify-runs-t1-2025.01-v1",
    rows=10,
    held_back=0,
    pending=0,
    documents=10,
    rejected=0,
    rate=None,
    verdict="equal",
    certificate="c1",
    findings=0,
    withheld=None,
)
REJECTED = replace(GOOD, verdict="equal_but_rejected", rejected=2)
DIFFERENT = replace(GOOD, verdict="different")
UNPROVEN = replace(GOOD, verdict=None, certificate=None)


def outcome(*units: UnitReport, states: str = "success", dry_run: bool = False) -> Outcome:
    return outcome_of(units, task_states=states.split(), dry_run=dry_run)


def test_all_proven_is_completed() -> None:
    assert outcome(GOOD, GOOD) is Outcome.COMPLETED
    assert outcome() is Outcome.COMPLETED
    assert outcome(states="success skipped") is Outcome.COMPLETED


@pytest.mark.parametrize(
    "odd",
    [REJECTED, replace(GOOD, findings=1), replace(GOOD, withheld="2 rejected, 0 are accepted")],
)
def test_anything_odd_is_a_finding(odd: UnitReport) -> None:
    assert outcome(GOOD, odd) is Outcome.COMPLETED_WITH_FINDINGS


@pytest.mark.parametrize("bad", ["failed", "upstream_failed"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_failed_task_fails_the_run_whatever_else(bad: str, dry_run: bool) -> None:
    for units in ([], [GOOD], [UNPROVEN], [REJECTED]):
        assert outcome(*units, states=f"success {bad}", dry_run=dry_run) is Outcome.FAILED


def test_a_difference_fails_the_run() -> None:
    for units in itertools.permutations([GOOD, REJECTED, UNPROVEN, DIFFERENT]):
        assert outcome(*units) is Outcome.FAILED


def test_a_unit_without_a_certificate_means_interrupted() -> None:
    assert outcome(GOOD, UNPROVEN, REJECTED) is Outcome.INTERRUPTED


def test_a_rejected_approval_is_never_completed_whatever_earlier_runs_proved() -> None:
    """Before the swap everything is proven already; earlier runs may have proven it, too."""
    assert outcome(GOOD, states="success success skipped") is Outcome.INTERRUPTED
    assert outcome(REJECTED, states="skipped") is Outcome.INTERRUPTED


def test_a_dry_run_is_completed_by_its_plan() -> None:
    for units in ([], [UNPROVEN], [DIFFERENT], [GOOD]):
        assert outcome(*units, states="success skipped", dry_run=True) is Outcome.COMPLETED


def test_good_outcomes() -> None:
    assert [o for o in Outcome if o.good] == [Outcome.COMPLETED, Outcome.COMPLETED_WITH_FINDINGS]


def report(certificate: Certificate | None, **copied: Any) -> UnitReport:
    unit = plan(estimate=Estimate(7, 0, exact=True, held_back=3))
    return UnitReport.of(unit, certificate, copied=copied, findings=1, withheld=None)


CERTIFICATE = replace(
    PLAIN, rows=100, held_back=5, pending=2, documents=98, rejected=2, definition="d1"
)


def test_a_certified_unit_shows_its_certificate() -> None:
    line = report(replace(CERTIFICATE, verdict=Verdict.EQUAL_BUT_REJECTED))
    assert (line.rows, line.held_back, line.pending) == (107, 5, 2)
    assert (line.documents, line.rejected) == (98, 2)
    assert line.rows == line.documents + line.rejected + line.held_back + line.pending
    assert (line.verdict, line.certificate) == ("equal_but_rejected", "c1")
    assert json.loads(json.dumps(line.to_json()))["findings"] == 1


@pytest.mark.parametrize(
    "certificate", [None, replace(CERTIFICATE, index="v2"), replace(CERTIFICATE, definition="d2")]
)
def test_a_certificate_of_something_else_is_none(certificate: Certificate | None) -> None:
    line = report(certificate)
    assert (line.verdict, line.certificate, line.documents) == (None, None, 0)
    assert line.rows == 10


@pytest.mark.parametrize(
    ("copied", "rate"),
    [
        ({}, None),
        ({"action": "current", "documents": 100, "seconds": 2.0}, None),
        ({"action": "copied", "documents": 100, "seconds": 2.0}, 50),
        ({"action": "copied", "documents": 100, "seconds": 0.0}, None),
        ({"action": "resumed", "documents": 1_000_000, "written": 100, "seconds": 2.0}, 50),
        ({"action": "repaired", "documents": 1_000_000, "written": 4, "seconds": 2.0}, 2),
    ],
)
def test_the_rate_is_that_of_this_run(copied: dict[str, Any], rate: float | None) -> None:
    assert report(CERTIFICATE, **copied).rate == rate
