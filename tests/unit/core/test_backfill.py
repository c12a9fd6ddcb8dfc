"""What a unit needs: copy, resume, repair or nothing; and what must never pass in silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from airflow_provider_logmigrate.core.backfill import (
    Action,
    UnitOutcome,
    backfill_unit,
    upper_bound,
)
from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Cursor, Phase
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    Interrupted,
    NothingCopied,
    SourceUnavailable,
    TargetUnavailable,
)
from airflow_provider_logmigrate.core.plan import Estimate, UnitPlan
from airflow_provider_logmigrate.core.ports import CopyLimits, TimeRange
from airflow_provider_logmigrate.core.unit import UTC, day_of
from tests.unit.core.building import HOUR, MONTH, FakeClock, Row, by_key, plan, rows
from tests.unit.core.fakes import FakeJournal, FakeLedger, FakeSource, FakeTarget, Stored

LAG = timedelta(minutes=10)


class Bench:
    """One unit over several runs."""

    def __init__(self, some: Sequence[Row], *, rejects: Sequence[str] = ()) -> None:
        self.source = FakeSource(by_key(some), chunk_rows=5)
        self.target = FakeTarget(rejects=frozenset(rejects))
        self.ledger = FakeLedger()
        self.stop = Stop()
        self.limits = CopyLimits(checkpoint_seconds=0)

    def run(
        self,
        *,
        now: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        unit: UnitPlan | None = None,
        previous: Checkpoint | None = None,
    ) -> UnitOutcome:
        return backfill_unit(
            source=self.source,
            target=self.target,
            journal=FakeJournal(self.ledger),
            plan=unit or plan(),
            previous=previous or self.ledger.previous,
            settle_lag=LAG,
            limits=self.limits,
            clock=FakeClock(at=now, step=1.0),
            stop=self.stop,
        )

    def assert_equal(self) -> None:
        wanted = {
            row.key: row.document()
            for row in self.source.rows_by_key.values()
            if row.settled and row.key not in self.target.rejects
        }
        assert self.target.contents() == wanted


@pytest.mark.parametrize(
    ("now", "upper"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), MONTH.end),
        (MONTH.end + LAG, MONTH.end),
        (MONTH.end + LAG - timedelta(microseconds=1), MONTH.end - timedelta(microseconds=1)),
        (MONTH.start + LAG, MONTH.start),
        (MONTH.start, MONTH.start - LAG),
    ],
)
def test_the_upper_bound_is_the_periods_end_or_the_settle_lag(
    now: datetime, upper: datetime
) -> None:
    assert upper_bound(MONTH, now=now, settle_lag=LAG) == upper


def test_a_new_unit_is_copied_and_then_current() -> None:
    bench = Bench(rows(40))
    first = bench.run()
    assert (first.action, first.counters.documents, first.written) == (Action.COPIED, 40, 40)
    assert first.seconds > 0
    assert not first.with_findings
    bench.assert_equal()
    read = bench.source.rows_read
    second = bench.run()
    assert (second.action, second.counters.documents, second.written) == (Action.CURRENT, 40, 0)
    assert bench.source.rows_read == read


def test_boundary_rows_belong_to_exactly_one_unit() -> None:
    micro = timedelta(microseconds=1)
    some = [
        Row("before", MONTH.start - micro),
        Row("first", MONTH.start),
        Row("last", MONTH.end - micro),
        Row("behind", MONTH.end),
    ]
    bench = Bench(some)
    bench.run()
    assert set(bench.target.documents) == {"first", "last"}
    leap = day_of(datetime(2024, 2, 29, tzinfo=UTC))
    some = [Row("first", leap.start), Row("last", leap.end - micro), Row("behind", leap.end)]
    bench = Bench(some)
    bench.run(unit=plan(period=leap))
    assert set(bench.target.documents) == {"first", "last"}


def test_a_broken_off_copy_is_resumed_behind_its_cursor() -> None:
    bench = Bench(rows(40))
    cursor = Cursor((MONTH.start + 19 * HOUR).isoformat(), "k00019")
    for row in rows(20):
        bench.target.documents[row.key] = Stored(0, row.document())
    previous = Checkpoint("u", "d1", Phase.COPYING, 1, "", cursor, Counters(20, 20, 0, 2000))
    outcome = bench.run(previous=previous)
    assert (outcome.action, outcome.written) == (Action.RESUMED, 20)
    assert outcome.counters.documents == 40
    assert bench.source.rows_read == 20
    bench.assert_equal()


def test_a_copy_broken_off_before_its_first_cursor_starts_anew() -> None:
    bench = Bench(rows(10))
    outcome = bench.run(previous=Checkpoint("u", "d1", Phase.COPYING, 1, ""))
    assert outcome.action is Action.COPIED
    bench.assert_equal()


def test_changed_new_and_settled_rows_are_repaired_and_only_their_hours_read() -> None:
    some = rows(100)
    some[50] = replace(some[50], settled=False)
    bench = Bench(some)
    bench.run()
    bench.source.rows_by_key["k00003"] = replace(some[3], text="changed")
    bench.source.rows_by_key["k00050"] = replace(some[50], settled=True)
    bench.source.rows_by_key["new"] = Row("new", MONTH.start + 4 * HOUR)
    read = bench.source.rows_read
    outcome = bench.run()
    assert outcome.action is Action.REPAIRED
    assert bench.source.requests[-1].ranges == (
        TimeRange(MONTH.start + 3 * HOUR, MONTH.start + 5 * HOUR),
        TimeRange(MONTH.start + 50 * HOUR, MONTH.start + 51 * HOUR),
    )
    assert bench.source.requests[-1].repair
    assert bench.source.rows_read - read == 4
    assert outcome.written == 4
    bench.assert_equal()
    assert bench.run().action is Action.CURRENT


def test_a_stray_document_never_makes_a_repair_read_a_neighbouring_period() -> None:
    """The hour before the month was read as well: another month's rows came into this index."""
    some = [Row("before", MONTH.start - HOUR / 2), *rows(3), Row("behind", MONTH.end + HOUR / 2)]
    bench = Bench(some)
    bench.run()
    for key, at in (("x", MONTH.start - HOUR / 2), ("y", MONTH.end + HOUR / 2)):
        bench.target.documents[key] = Stored(1, Row(key, at).document())
    bench.source.rows_by_key["k00000"] = replace(some[1], text="changed")
    assert bench.run().action is Action.REPAIRED
    assert set(bench.target.documents) == {"k00000", "k00001", "k00002", "x", "y"}
    assert bench.run().action is Action.CURRENT


def test_rejected_rows_are_tried_again_without_piling_up() -> None:
    """Their count grew with every run until it looked like too many."""
    bench = Bench(rows(60), rejects=[f"k{n:05d}" for n in range(0, 60, 10)])
    bench.limits = CopyLimits(max_rejected=10, share_after=1, max_rejected_share=0.5)
    for run in range(5):
        outcome = bench.run()
        assert outcome.counters.rejected == 6
        assert outcome.with_findings
        assert outcome.action is (Action.REPAIRED if run else Action.COPIED)
    bench.target.rejects = frozenset()
    outcome = bench.run()
    assert (outcome.counters.rejected, outcome.with_findings) == (0, False)
    bench.assert_equal()
    assert bench.run().action is Action.CURRENT


def test_a_unit_that_is_too_young_is_left_alone() -> None:
    bench = Bench(rows(5))
    outcome = bench.run(now=MONTH.start + LAG)
    assert outcome.action is Action.TOO_YOUNG
    assert (bench.target.documents, bench.ledger.history) == ({}, [])


def test_young_rows_wait_for_the_next_run() -> None:
    bench = Bench(rows(10))
    now = MONTH.start + 5 * HOUR + LAG
    first = bench.run(now=now, unit=plan(estimate=Estimate(10, 0, exact=True)))
    assert set(bench.target.documents) == {f"k{n:05d}" for n in range(5)}
    assert bench.ledger.history[-1].upper == (MONTH.start + 5 * HOUR).isoformat()
    assert first.action is Action.COPIED
    assert bench.run(now=now + 2 * HOUR).action is Action.REPAIRED
    assert set(bench.target.documents) == {f"k{n:05d}" for n in range(7)}


def test_an_open_period_with_young_rows_only_is_no_failure() -> None:
    bench = Bench([Row("young", MONTH.start + HOUR)])
    unit = plan(estimate=Estimate(1, 0, exact=True))
    assert bench.run(now=MONTH.start + HOUR / 2, unit=unit).action is Action.COPIED


def test_nothing_from_a_source_that_has_rows_is_a_failure_again_and_again() -> None:
    bench = Bench([])
    unit = plan(estimate=Estimate(7, 0, exact=True))
    for _ in range(3):
        with pytest.raises(NothingCopied, match="0 of 7 rows"):
            bench.run(unit=unit)
    assert bench.ledger.history == []
    bench.source.rows_by_key = by_key(rows(7))
    assert bench.run(unit=unit).counters.documents == 7


def test_an_estimate_that_is_no_count_is_no_reason_to_fail() -> None:
    assert Bench([]).run(unit=plan(estimate=Estimate(7, 0, exact=False))).written == 0
    assert Bench([]).run(unit=plan(estimate=Estimate(0, 0, exact=True, held_back=5))).written == 0


def test_a_repair_that_reads_nothing_is_a_failure() -> None:
    bench = Bench(rows(10))
    bench.run()
    bench.target.documents.clear()
    bench.source.read = lambda request, **parts: None  # type: ignore[method-assign]
    with pytest.raises(NothingCopied, match="0 of 10 rows"):
        bench.run()


def test_documents_of_deleted_rows_alone_are_no_failed_repair() -> None:
    bench = Bench(rows(10))
    bench.run()
    bench.source.rows_by_key.clear()
    assert bench.run().action is Action.REPAIRED


@pytest.mark.parametrize("place", ["source summary", "target summary", "prepare", "finish"])
def test_an_outage_during_the_comparison_is_raised(place: str) -> None:
    bench = Bench(rows(10))
    bench.run()
    error = SourceUnavailable("x") if place == "source summary" else TargetUnavailable("x")

    def hook(here: str) -> None:
        if here == place:
            raise error

    bench.source.hook = bench.target.hook = hook
    with pytest.raises(type(error)):
        bench.run()
    assert bench.ledger.previous is not None
    assert bench.ledger.previous.phase is Phase.COPIED


def test_an_interrupt_ends_a_lane_of_units_that_need_nothing() -> None:
    """Nobody asked for the flag where nothing was copied: SIGTERM was ignored for hours."""
    bench = Bench(rows(10))
    bench.run()
    bench.source.hook = lambda place: bench.stop.set("SIGTERM")
    with pytest.raises(Interrupted):
        bench.run()
    assert not bench.target.loading
    bench.source.hook = lambda place: pytest.fail("the source was asked")
    with pytest.raises(Interrupted):
        bench.run()


def test_findings_of_this_attempt_are_returned() -> None:
    some = [replace(row, odd=True) for row in rows(3)]
    outcome = Bench(some).run()
    assert [finding.key for finding in outcome.findings] == ["k00000", "k00001", "k00002"]
    assert outcome.with_findings
