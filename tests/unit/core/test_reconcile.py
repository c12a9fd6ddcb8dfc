"""Reconcile: what differs is repaired within bounds, and equal is only what was proven so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_provider_logmigrate.core.backfill import backfill_unit
from airflow_provider_logmigrate.core.certificate import (
    Certificate,
    Finding,
    FindingKind,
)
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.errors import Fenced, PlanUnusable
from airflow_provider_logmigrate.core.fingerprint import Summary
from airflow_provider_logmigrate.core.ports import CopyLimits
from airflow_provider_logmigrate.core.purged import UNACCOUNTED
from airflow_provider_logmigrate.core.reconcile import (
    REMOVED_AT_ONCE,
    Bounds,
    Differences,
    Reconciled,
    Removed,
    Repair,
    plan_repair,
    reconcile,
    remove_documents,
)
from airflow_provider_logmigrate.core.repair import Copied, copy_keys
from airflow_provider_logmigrate.core.unit import UTC
from airflow_provider_logmigrate.core.verify import Proof, prove
from tests.unit.core.building import HOUR, MONTH, FakeClock, Row, by_key, certified, plan, rows
from tests.unit.core.fakes import FakeJournal, FakeLedger, FakeSource, FakeTarget, Stored
from tests.unit.core.test_verify import SHAPE

LATER = datetime(2026, 1, 1, tzinfo=UTC)
STRAY = Row("zz", MONTH.start + 3 * HOUR)


@dataclass
class Unit:
    """A copied unit, its stores, and the core's repairs of it.

    :ivar proofs: whether each proof compared every document.
    """

    count: int = 60
    versions: int = 100
    hook: Callable[[str], None] = lambda place: None
    permit: Callable[[Sequence[str]], str] = lambda ids: ""
    proofs: list[bool] = field(default_factory=list)
    sample: int = 0
    before: Proof | None = None

    def __post_init__(self) -> None:
        self.source = FakeSource(
            by_key(rows(self.count)), versions=iter(range(self.versions, 10**6))
        )
        self.target = FakeTarget()
        self.ledger = FakeLedger()
        self.stop = Stop()
        self._hours()

    def _common(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "target": self.target,
            "journal": FakeJournal(self.ledger),
            "plan": plan(),
            "previous": self.ledger.previous,
            "settle_lag": timedelta(0),
            "limits": CopyLimits(),
            "clock": FakeClock(at=LATER, step=1.0),
            "stop": self.stop,
        }

    def _hours(self) -> int:
        return backfill_unit(**self._common()).written

    def prove(self, found: Differences, *, full: bool) -> Certificate:
        self.proofs.append(full)
        self.hook("prove")
        result = prove(
            source=self.source,
            target=self.target,
            plan=plan(),
            upper=MONTH.end,
            rejected=self.ledger.dead_letters,
            comparer=RowComparer(SHAPE),
            sample=self.sample,
            seed=1,
            full=full,
            each=found.add,
            before=None if full else self.before,
        )
        self.before = result
        return certified(plan(), result.verdict)

    def copy(self, keys: Sequence[str]) -> Copied:
        self.hook("copy")
        return copy_keys(keys, **self._common())

    def copy_hours(self) -> Copied:
        return Copied(self._hours())

    def remove(self, ids: Sequence[str]) -> Removed:
        return remove_documents(
            plan(), ids, source=self.source, target=self.target, permit=self.permit, stop=self.stop
        )

    def run(self, *, live: bool = False, full: bool = False, **bounds: Any) -> Reconciled:
        self.proofs.clear()
        self.before = None
        self.source.requests.clear()
        return reconcile(self, Bounds(**bounds), live=live, full=full)

    def drift(self) -> None:
        """A row without a document, one that changed, a document without a row."""
        del self.target.documents["k00003"]
        self.source.rows_by_key["k00020"] = Row("k00020", MONTH.start + 20 * HOUR, "new")
        self.target.documents["zz"] = Stored(1, STRAY.document())

    def wanted(self) -> dict[str, Any]:
        return {row.key: row.document() for row in self.source.rows_by_key.values()}


def test_an_equal_unit_costs_one_proof_and_nothing_else() -> None:
    unit = Unit()
    done = unit.run()
    assert (done.equal, done.passes, unit.proofs) == (True, 0, [False])
    assert unit.source.requests == []


def test_what_differs_is_copied_by_key_and_proven_again() -> None:
    unit = Unit()
    del unit.target.documents["k00003"]
    unit.source.rows_by_key["k00020"] = Row("k00020", MONTH.start + 20 * HOUR, "new")
    done = unit.run()
    assert (done.equal, done.passes, done.copied) == (True, 1, 2)
    assert unit.proofs == [False, False]
    assert unit.target.contents() == unit.wanted()
    (request,) = unit.source.requests
    assert request.keys == ("k00003", "k00020")


def test_after_a_repair_only_hours_that_differed_are_summed_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unit = Unit()
    del unit.target.documents["k00003"]
    asked: list[Collection[datetime] | None] = []
    whole = unit.source.summarise

    def summarise(*given: Any, hours: Collection[datetime] | None = None, **more: Any) -> Summary:
        asked.append(hours and set(hours))
        return whole(*given, hours=hours, **more)

    monkeypatch.setattr(unit.source, "summarise", summarise)
    assert unit.run().equal
    # Once by the minute, to find what differs in it.
    assert asked == [None, {MONTH.start + 3 * HOUR}, {MONTH.start + 3 * HOUR}]
    assert unit.before is not None
    assert unit.before.source == whole(plan(), upper=MONTH.end)


def test_extras_are_kept_unless_told_and_the_rest_is_repaired_all_the_same() -> None:
    unit = Unit()
    unit.drift()
    done = unit.run()
    assert (done.equal, done.copied, done.removed) == (False, 2, 0)
    assert unit.target.contents() == unit.wanted() | {"zz": STRAY.document()}

    done = unit.run(remove_extras=True)
    assert (done.equal, done.copied, done.removed) == (True, 0, 1)
    assert unit.target.contents() == unit.wanted()


def test_a_document_whose_row_is_in_the_source_is_never_removed() -> None:
    """Not settled any more, or moved to another unit: the row exists."""
    unit = Unit()
    unit.source.rows_by_key["k00007"] = replace(rows(60)[7], settled=False)
    unit.source.rows_by_key["k00008"] = Row("k00008", MONTH.end + HOUR)
    done = unit.run(remove_extras=True)
    assert (done.equal, done.removed) == (False, 0)
    assert {"k00007", "k00008"} <= unit.target.documents.keys()
    assert "2 documents without a row in this unit are kept" in "; ".join(done.notes)


def test_a_row_that_comes_back_before_the_deletion_keeps_its_document() -> None:
    unit = Unit()
    gone = unit.source.rows_by_key.pop("k00005")

    def comes_back(place: str) -> None:
        if place == "present":
            unit.source.rows_by_key["k00005"] = gone

    unit.source.hook = comes_back
    done = unit.run(remove_extras=True)
    assert done.equal
    assert "k00005" in unit.target.documents


def test_a_document_written_after_the_look_stays() -> None:
    unit = Unit()
    del unit.source.rows_by_key["k00005"]

    def written(place: str) -> None:
        if place == "remove":
            unit.target.documents["k00005"].version = 10**7

    unit.target.hook = written
    done = unit.run(remove_extras=True)
    assert not done.equal
    assert "k00005" in unit.target.documents


def test_nothing_is_removed_where_it_isnt_permitted() -> None:
    unit = Unit(permit=lambda ids: f"{len(ids)} may be the last copies")
    unit.drift()
    done = unit.run(remove_extras=True)
    assert not done.equal
    assert "zz" in unit.target.documents
    assert done.notes == ("1 may be the last copies",)


def test_every_page_of_removals_is_looked_up_and_permitted_by_itself() -> None:
    asked: list[int] = []

    def permit(ids: Sequence[str]) -> str:
        asked.append(len(ids))
        return ""

    unit = Unit(count=1, permit=permit)
    for n in range(REMOVED_AT_ONCE + 5):
        unit.target.documents[f"s{n}"] = Stored(1, Row(f"s{n}", STRAY.at).document())
    assert unit.run(remove_extras=True).removed == REMOVED_AT_ONCE + 5
    assert asked == [REMOVED_AT_ONCE, 5]


def test_a_newer_version_is_not_beaten_but_told() -> None:
    unit = Unit()
    other = replace(rows(60)[9], text="from the future")
    unit.target.documents["k00009"] = Stored(10**7, other.document())
    done = unit.run()
    assert not done.equal
    assert "1 documents have a version newer than now" in "; ".join(done.notes)
    assert unit.target.documents["k00009"].version == 10**7


def test_one_altered_document_makes_every_document_suspect() -> None:
    """The sample holds one of the two altered documents; fingerprints alone hold neither."""
    unit = Unit(sample=1)
    for key in ("k00000", "k00044"):
        unit.target.documents[key].content["text"] = "what nobody said"
    done = unit.run()
    assert unit.proofs == [False, True, True]
    assert (done.equal, done.copied) == (True, 2)
    assert unit.target.contents() == unit.wanted()

    unit.target.documents["k00044"].content["text"] = "again"
    unit.sample = 0
    assert unit.run().equal, "a fingerprint proof can't see it"
    assert not unit.run(full=True, passes=0).equal


@pytest.mark.parametrize("live", [False, True])
def test_more_than_the_bound_is_touched_only_in_an_open_period(live: bool) -> None:
    unit = Unit()
    for n in range(20):
        del unit.target.documents[f"k{n:05d}"]
    before = unit.target.contents()
    done = unit.run(max_documents=10, live=live)
    assert done.equal is live
    if live:
        assert unit.target.contents() == unit.wanted()
        assert unit.source.requests[0].keys is None
    else:
        assert unit.target.contents() == before
        assert done.notes == ("more documents differ than the 10 allowed",)


def test_the_bound_counts_over_all_passes() -> None:
    unit = Unit()

    def another(place: str) -> None:
        if place == "prove":
            key = next(iter(unit.target.documents))
            del unit.target.documents[key]

    unit.hook = another
    done = unit.run(passes=10, max_documents=3)
    assert (done.equal, done.copied) == (False, 3)
    assert done.notes[-1] == "more documents differ than the 3 allowed"
    done = unit.run(passes=2)
    assert (done.equal, done.passes) == (False, 2)
    assert done.notes == ("still different after 2 repairs",)


def test_without_passes_nothing_is_touched() -> None:
    unit = Unit()
    unit.drift()
    before = unit.target.contents()
    done = unit.run(passes=0, remove_extras=True)
    assert (done.equal, done.passes, unit.proofs) == (False, 0, [False])
    assert unit.target.contents() == before


def test_killed_anywhere_the_next_attempt_finishes() -> None:
    class Killed(BaseException):
        pass

    unit = Unit()
    places = 0
    while True:
        unit.drift()
        left = places

        def dies(place: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed(place)

        unit.hook = unit.source.hook = unit.target.hook = dies
        try:
            unit.run(remove_extras=True)
        except Killed:
            places += 1
        else:
            break
        finally:
            unit.hook = unit.source.hook = unit.target.hook = lambda place: None
        assert unit.run(remove_extras=True).equal
        assert unit.target.contents() == unit.wanted()
    assert places > 8


def test_an_attempt_that_was_overtaken_ends() -> None:
    unit = Unit()
    unit.drift()
    unit.hook = lambda place: None
    journal = FakeJournal(unit.ledger)
    unit.ledger.begin()
    with pytest.raises(Fenced):
        copy_keys(["k00003"], **{**unit._common(), "journal": journal})
    assert unit.run(remove_extras=True).equal


def test_a_unit_whose_first_copy_isnt_finished_is_no_repair() -> None:
    unit = Unit()
    with pytest.raises(PlanUnusable, match="first copy"):
        copy_keys(["k00003"], **{**unit._common(), "previous": None})


def test_what_has_no_name_is_left_alone() -> None:
    found = Differences(room=10, extras=True)
    for kind, key in (
        (FindingKind.MISSING, UNACCOUNTED),
        (FindingKind.EXTRA, "*"),
        (FindingKind.DUPLICATE, "k1"),
        (FindingKind.REJECTED, "k2"),
    ):
        found.add(Finding(kind, key))
    assert not plan_repair(found, Bounds(), live=False).does_something


def test_several_findings_of_a_document_count_once() -> None:
    found = Differences(room=1, extras=True)
    for detail in ("text", "at"):
        found.add(Finding(FindingKind.ALTERED, "k1", detail))
    assert plan_repair(found, Bounds(), live=False) == Repair(("k1",))
    found.add(Finding(FindingKind.EXTRA, "k2"))
    assert found.overflow
