"""Copying a part: each row to its own unit, counted exactly as far as the position says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_logmigrate.core.checkpoint import Counters
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.core.ports import CopyLimits
from airflow_provider_logmigrate.core.sweep import Place, SweepPlan
from airflow_provider_logmigrate.core.sweep_copy import PartOutcome, sweep_part
from tests.unit.core.building import FakeClock, plan
from tests.unit.core.sweeping import (
    FakeMixedTarget,
    FakePartJournal,
    FakePartSource,
    FakeSweepLedger,
    documents,
    sweep_plan,
    table,
)

LIMITS = CopyLimits(in_flight=2, checkpoint_seconds=0.0, max_rejected_share=1)


def swept(
    source: FakePartSource,
    target: FakeMixedTarget,
    ledger: FakeSweepLedger,
    of: SweepPlan,
    *,
    limits: CopyLimits = LIMITS,
    journal: FakePartJournal | None = None,
) -> PartOutcome:
    return sweep_part(
        source=source,
        target=target,
        journal=journal or FakePartJournal(ledger),
        plan=of,
        part=of.parts[0],
        previous=ledger.previous,
        limits=limits,
        clock=FakeClock(),
        stop=Stop(),
    )


def test_rows_go_to_their_tenants_and_nobody_elses() -> None:
    rows = table(31, tenants=["a", "b", None, "c"])
    source, target, ledger = FakePartSource(rows), FakeMixedTarget(), FakeSweepLedger(Place(0))
    of = sweep_plan("a", "b", "c")

    outcome = swept(source, target, ledger, of)

    wanted = {(plan(row.tenant).index, row.key) for row in rows if row.tenant}
    assert set(documents(target)) == wanted
    assert outcome.skipped == {"other_tenant": 8}
    assert outcome.written == outcome.counters.documents == 23
    assert ledger.swept
    assert ledger.record is not None
    assert ledger.record.place == Place(of.parts[0].end)
    counted = ledger.record.units
    assert {key: c.documents for key, c in counted.items()} == {
        plan("a").key: 8, plan("b").key: 8, plan("c").key: 7,
    }  # fmt: skip
    assert sum(c.bytes for c in counted.values()) == outcome.counters.bytes
    assert target.prepared == {plan(name).index: 1 for name in "abc"}


def test_a_part_without_rows_is_swept() -> None:
    ledger = FakeSweepLedger(Place(0))
    of = sweep_plan("a")
    outcome = swept(FakePartSource([]), FakeMixedTarget(), ledger, of)
    assert outcome.counters == Counters()
    assert ledger.swept
    assert ledger.opened == set()


def test_rejected_documents_and_findings_reach_their_own_units() -> None:
    rows = [replace(row, odd=row.key == "k0001") for row in table(12, tenants=["a", "b"])]
    target = FakeMixedTarget(rejects=frozenset({"k0002", "k0003"}))
    ledger = FakeSweepLedger(Place(0))

    outcome = swept(FakePartSource(rows), target, ledger, sweep_plan("a", "b"))

    a, b = plan("a").key, plan("b").key
    assert set(ledger.letters) == {(a, "k0002"), (b, "k0003")}
    assert ledger.findings == {(b, "k0001")}
    assert outcome.counters.rejected == 2
    assert ledger.previous.units[a] == replace(ledger.previous.units[a], documents=5, rejected=1)


def test_two_tenants_may_share_a_key() -> None:
    """Unique keys are the rule, but where two tenants share one, each has its own dead letter."""
    rows = [replace(row, key="same") for row in table(2, tenants=["a", "b"])]
    target = FakeMixedTarget(rejects=frozenset({"same"}))
    ledger = FakeSweepLedger(Place(0))

    swept(FakePartSource(rows), target, ledger, sweep_plan("a", "b"))

    assert {unit for unit, _ in ledger.letters} == {plan("a").key, plan("b").key}


def test_what_concerns_one_unit_stops_only_that_one() -> None:
    rows = table(60, tenants=["a", "b", "c", "d"])
    refused = frozenset(row.key for row in rows if row.tenant == "d")
    target = FakeMixedTarget(not_ours=frozenset({plan("b").index}), rejects=refused)
    ledger = FakeSweepLedger(Place(0), taken={plan("c").key})

    outcome = swept(
        FakePartSource(rows, chunk_rows=2),
        target,
        ledger,
        sweep_plan("a", "b", "c", "d"),
        limits=replace(LIMITS, max_rejected=3, in_flight=1),
    )

    assert set(target.indices) == {plan("a").index, plan("d").index}
    assert len(target.indices[plan("a").index]) == 15
    left = ledger.left
    assert set(left) == {plan(name).key for name in "bcd"}
    assert "somebody else's" in left[plan("b").key]
    assert "newer attempt" in left[plan("c").key]
    assert "rejected" in left[plan("d").key]
    assert outcome.skipped["left"] >= 30
    assert ledger.swept


def test_a_unit_that_is_taken_over_meanwhile_is_left() -> None:
    rows = table(40, tenants=["a", "b"])
    target = FakeMixedTarget(rejects=frozenset({"k0020"}))
    ledger = FakeSweepLedger(Place(0))
    journal = FakePartJournal(ledger)
    journal.hook = lambda place: (
        ledger.taken.add(plan("a").key) if place == "dead letters" else None
    )

    swept(FakePartSource(rows), target, ledger, sweep_plan("a", "b"), journal=journal)

    assert set(ledger.left) == {plan("a").key}
    assert len(target.indices[plan("b").index]) == 20
    assert ledger.letters == {}


def test_an_attempt_that_lost_its_part_ends() -> None:
    ledger = FakeSweepLedger(Place(0))
    old = FakePartJournal(ledger)
    FakePartJournal(ledger)
    with pytest.raises(Fenced):
        swept(
            FakePartSource(table(9, tenants=["a"])),
            FakeMixedTarget(),
            ledger,
            sweep_plan("a"),
            journal=old,
        )
    assert ledger.record is None
