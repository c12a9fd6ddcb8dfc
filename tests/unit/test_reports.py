"""Plans, certificates and runs as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_logmigrate.core.certificate import (
    Finding,
    FindingKind,
    Tally,
    Verdict,
)
from airflow_provider_logmigrate.core.outcome import UnitReport
from airflow_provider_logmigrate.core.plan import Estimate, Plan, ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.reports import (
    WIDTH,
    certificate_text,
    plan_text,
    render,
    text_table,
    units_table,
)
from tests.unit.core.building import certified

UNIT = UnitPlan(
    unit=Unit.from_key("workflow_runs/acme/2025-01"),
    alias="runs-acme-2025.01",
    tenant_alias="runs-acme",
    index="runs-acme-2025.01-v1",
    definition="d",
    strategy=ReadStrategy.KEYSET,
    strategy_reason="an index leads on (created_at, id)",
    estimate=Estimate(rows=1_234_567, bytes=2_500_000, exact=True, held_back=3),
)
PLAN = Plan(
    migration="logs",
    tenant="acme",
    units=(UNIT, replace(UNIT, unit=Unit.from_key("workflow_runs/acme/2025-02"), estimate=None)),
    shards=2,
    duration_seconds=123.4,
    warnings=("an index would help", "the cluster's health is red"),
)
CERTIFICATE = certified(
    UNIT,
    id="c-1",
    mode="fingerprint+sample",
    rows=1_000,
    documents=1_000,
    held_back=3,
    pending=2,
    sampled=100,
)


def test_a_plan_shows_sizes_reasons_warnings_and_its_whole_hash() -> None:
    text = plan_text(PLAN)
    for part in (
        "1,234,567", "2.5", "keyset", UNIT.index, "2 units, 1,234,567 rows, 2 new shards",
        "about 123 s", "workflow_runs is read keyset: an index leads on (created_at, id)",
        "Warning: an index would help", "Warning: the cluster's health is red",
        f"Plan hash: {PLAN.hash}",
    ):  # fmt: skip
        assert part in text
    assert text.count("is read keyset") == 1, "a reason isn't repeated for each unit"
    unestimated = next(line for line in text.splitlines() if "2025-02" in line)
    assert unestimated.split()[2:5] == ["-", "-", "-"], "unknown isn't zero"


def test_a_plan_without_units() -> None:
    text = plan_text(replace(PLAN, units=(), warnings=()))
    assert "0 units, 0 rows" in text


def test_an_equal_certificate_is_one_sentence() -> None:
    assert certificate_text(CERTIFICATE) == (
        "workflow_runs/acme/2025-01: equal: 1,000 settled rows, 1,000 documents, 0 rejected,"
        " 3 held back, 2 pending, 100 compared field by field, which would miss 10 altered ones"
        " with a probability of 34.7% (certificate c-1)"
    )


def test_what_an_equal_proof_could_not_compare_is_told() -> None:
    finding = Finding(FindingKind.CONTENT, "id-1", "no object a/b")
    text = certificate_text(replace(CERTIFICATE, tally=Tally({"content": 3}, (finding,))))
    assert text.endswith("; content id-1 no object a/b and 2 more")


@pytest.mark.parametrize("shown", [2, 5])
def test_a_differing_one_names_ids_and_says_how_many_it_leaves_out(shown: int) -> None:
    findings = tuple(Finding(FindingKind.MISSING, f"id-{n}") for n in range(3))
    tally = Tally({"missing": 4, "stale": 1}, (*findings, Finding(FindingKind.STALE, "s", "why")))
    text = certificate_text(replace(CERTIFICATE, verdict=Verdict.DIFFERENT, tally=tally), ids=shown)
    assert "; missing id-0, missing id-1" in text
    assert ("missing id-2, stale s why" in text) == (shown == 5)
    assert text.endswith(f" and {5 - min(shown, 4)} more")
    assert "\n" not in text


def test_a_run_s_table() -> None:
    unit = UnitReport(
        stream="workflow_runs", period="2025-01", unit=UNIT.key, index=UNIT.index, rows=1_005,
        held_back=3, pending=2, documents=1_000, rejected=0, rate=1234.6, verdict="equal",
        certificate="0123456789abcdef", findings=0, withheld=None,
    )  # fmt: skip
    text = render(units_table("A title", [unit, replace(unit, rate=None, verdict=None)]))
    good, none = text.splitlines()[-2:]
    assert good.split() == [
        "workflow_runs", "2025-01", "1,005", "3", "1,000", "0", "1,235", "equal", "01234567",
    ]  # fmt: skip
    assert none.split()[6:] == ["-", "none", "01234567"]


def test_text_is_never_taken_for_markup_or_cut() -> None:
    long = "x" * 300
    text = render(text_table("[bold]title[/]", ["name", "n #"], [("[red]*[/]", 1), (long, 2)]))
    assert "[red]*[/]" in text
    assert "[bold]title[/]" in text
    assert text.count("x") == 300, "folded"
    assert max(len(line) for line in text.splitlines()) <= WIDTH
