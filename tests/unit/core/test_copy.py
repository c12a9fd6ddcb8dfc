"""The copy loop: what is durable, what is raised, what is left behind on every way out."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from airflow_provider_logmigrate.core import copy as copy_module
from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor, Phase
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.copy import copy
from airflow_provider_logmigrate.core.errors import (
    Fenced,
    Interrupted,
    LedgerUnavailable,
    NothingCopied,
    SourceUnavailable,
    TargetBlocked,
    TargetUnavailable,
    TooManyRejected,
)
from airflow_provider_logmigrate.core.plan import Estimate, UnitPlan
from airflow_provider_logmigrate.core.ports import (
    CopyLimits,
    CopyOutcome,
    ReadRequest,
    SourceFinding,
    TimeRange,
    WriteResult,
)
from tests.unit.core.building import HOUR, MONTH, FakeClock, Row, by_key, plan, rows, whole
from tests.unit.core.fakes import FakeJournal, FakeLedger, FakeSource, FakeTarget

PLAN = plan()
EAGER = CopyLimits(checkpoint_seconds=0.0, progress_seconds=0.0)


class Bench:
    """One unit's source, target and ledger."""

    def __init__(
        self,
        some: Iterable[Row],
        *,
        rejects: Iterable[str] = (),
        chunk_rows: int = 10,
        cursor_every: int = 1,
    ) -> None:
        self.source = FakeSource(by_key(some), chunk_rows=chunk_rows, cursor_every=cursor_every)
        self.target = FakeTarget(rejects=frozenset(rejects))
        self.ledger = FakeLedger()
        self.journal = FakeJournal(self.ledger)
        self.stop = Stop()

    def run(
        self,
        *,
        request: ReadRequest | None = None,
        counters: Counters | None = None,
        limits: CopyLimits = EAGER,
        expected: int = 0,
        unit: UnitPlan = PLAN,
        clock: FakeClock | None = None,
    ) -> CopyOutcome:
        return copy(
            source=self.source,
            target=self.target,
            journal=self.journal,
            request=request or whole(unit),
            counters=counters or Counters(),
            upper=MONTH.end,
            limits=limits,
            clock=clock or FakeClock(),
            stop=self.stop,
            expected=expected,
        )

    def expected_documents(self) -> dict[str, dict[str, object]]:
        return {
            row.key: row.document()
            for row in self.source.rows_by_key.values()
            if row.settled and row.key not in self.target.rejects
        }


def fail_at(place: str, error: BaseException, *, time: int = 1) -> Callable[[str], None]:
    """A hook that raises at the given visit of a place."""
    visits = itertools.count(1)

    def hook(here: str) -> None:
        if here == place and next(visits) == time:
            raise error

    return hook


def test_everything_arrives_once_and_the_unit_is_copied() -> None:
    bench = Bench(rows(95))
    outcome = bench.run()
    assert bench.target.contents() == bench.expected_documents()
    assert (outcome.counters.read, outcome.counters.documents) == (95, 95)
    assert outcome.counters.bytes > 95 * 50
    last = bench.ledger.history[-1]
    assert last.phase is Phase.COPIED
    assert last.cursor == Cursor((MONTH.start + 94 * HOUR).isoformat(), "k00094")
    assert last.counters == outcome.counters
    assert all(record.phase is Phase.COPYING for record in bench.ledger.history[:-1])
    assert not bench.target.loading


def test_an_empty_unit_is_copied_too() -> None:
    bench = Bench([])
    assert bench.run().counters == Counters()
    assert [record.phase for record in bench.ledger.history] == [Phase.COPIED]


def test_resuming_reads_nothing_before_the_cursor() -> None:
    bench = Bench(rows(50))
    half = Cursor((MONTH.start + 24 * HOUR).isoformat(), "k00024")
    done = Counters(25, 25, 0, 1000)
    outcome = bench.run(request=replace(whole(PLAN), after=half), counters=done)
    assert sorted(bench.target.documents) == [f"k{n:05d}" for n in range(25, 50)]
    assert outcome.resumed_from == half
    assert (outcome.counters.read, outcome.counters.documents) == (50, 50)


def test_rejected_documents_are_dead_letters_before_the_checkpoint_passes_them() -> None:
    bench = Bench(rows(60), rejects=["k00007", "k00031", "k00059"])
    passed: list[set[str]] = []

    def look(record: object) -> None:
        assert bench.ledger.previous is not None
        cursor = bench.ledger.previous.cursor
        assert cursor is not None
        due = {key for key in bench.target.rejects if key <= cursor.key}
        passed.append(due - set(bench.ledger.dead_letters))

    bench.ledger.on_checkpoint = look
    outcome = bench.run()
    assert passed
    assert not any(passed)
    assert set(bench.ledger.dead_letters) == {"k00007", "k00031", "k00059"}
    assert bench.ledger.dead_letters["k00031"].document == (
        b'{"id": "k00031", "at": "2025-01-02T07:00:00+00:00", "text": "text 31", "logmigrate": '
        + b'{"high": %d, "low": %d}}' % bench.source.rows_by_key["k00031"].fingerprint()
    )
    assert outcome.counters.rejected == 3
    assert outcome.counters.documents == 57
    assert bench.target.contents() == bench.expected_documents()


def test_dead_letters_that_are_not_durable_hold_the_checkpoint_back() -> None:
    bench = Bench(rows(60), rejects=["k00031"])
    bench.journal.hook = fail_at("dead letters", LedgerUnavailable("the ledger is away"))
    with pytest.raises(LedgerUnavailable):
        bench.run()
    assert bench.ledger.dead_letters == {}
    previous = bench.ledger.previous
    assert previous is None or previous.cursor is None or previous.cursor.key < "k00031"


def test_a_finding_is_durable_before_the_checkpoint_passes_its_row() -> None:
    odd = [replace(row, odd=n % 7 == 3) for n, row in enumerate(rows(60))]
    bench = Bench(odd)

    def look(record: object) -> None:
        assert bench.ledger.previous is not None
        cursor = bench.ledger.previous.cursor
        assert cursor is not None
        due = {row.key for row in odd if row.odd and row.key <= cursor.key}
        assert due <= {finding.key for finding in bench.ledger.findings}

    bench.ledger.on_checkpoint = look
    outcome = bench.run()
    everyone = {row.key for row in odd if row.odd}
    assert {finding.key for finding in outcome.findings} == everyone
    assert {finding.key for finding in bench.ledger.findings} == everyone


def test_findings_reported_before_an_interrupt_are_kept() -> None:
    """They were dropped while their chunks, settled in the same moment, moved the checkpoint."""
    odd = [replace(row, odd=True) for row in rows(40)]
    bench = Bench(odd)
    written = threading.Semaphore(0)
    bench.target.hook = lambda place: written.release() if place == "answer" else None

    def hold_up(place: str) -> None:
        # The loop stands in its first look at the journal until two more chunks are written.
        if place == "progress" and not bench.stop.is_set():
            for _ in range(2):
                written.acquire(timeout=5)
            time.sleep(0.05)
            bench.stop.set("the test says so")

    bench.journal.hook = hold_up
    with pytest.raises(Interrupted):
        bench.run()
    previous = bench.ledger.previous
    assert previous is not None
    assert previous.cursor is not None
    due = {row.key for row in odd if row.key <= previous.cursor.key}
    assert len(due) >= 10
    assert due <= {finding.key for finding in bench.ledger.findings}


def test_findings_are_kept_in_batches_and_returned_in_part() -> None:
    bench = Bench((replace(row, odd=True) for row in rows(700)), chunk_rows=700)
    outcome = bench.run()
    assert len(bench.ledger.findings) == 700
    assert sum(bench.journal.batches) == 700
    assert len(bench.journal.batches) <= 3
    assert len(outcome.findings) == copy_module.FINDINGS_RETURNED


def test_a_finding_behind_the_last_chunk_is_kept() -> None:
    bench = Bench([])

    def read(request: ReadRequest, **parts: object) -> None:
        report = parts["report"]
        assert callable(report)
        report(SourceFinding("odd", "k", "no chunk follows"))

    bench.source.read = read  # type: ignore[method-assign]
    assert [finding.key for finding in bench.run().findings] == ["k"]
    assert {finding.key for finding in bench.ledger.findings} == {"k"}


@pytest.mark.parametrize(
    ("where", "place", "error"),
    [
        ("source", "row", SourceUnavailable("gone")),
        ("source", "row", ValueError("a bug in the reader")),
        ("source", "read ends", SourceUnavailable("gone at the very end")),
        ("target", "write", TargetUnavailable("gone")),
        ("target", "answer", TargetUnavailable("the answer was lost")),
        ("target", "write", TargetBlocked("read-only")),
        ("target", "write", KeyError("a bug in the target")),
        ("target", "write", SystemExit(3)),
        ("journal", "checkpoint", LedgerUnavailable("gone")),
        ("journal", "progress", RuntimeError("the log is gone")),
        ("journal", "findings", LedgerUnavailable("gone")),
    ],
)
def test_an_error_anywhere_is_raised_as_it_is_and_nothing_is_lost(
    where: str, place: str, error: BaseException
) -> None:
    odd = [replace(row, odd=n == 20) for n, row in enumerate(rows(60))]
    bench = Bench(odd)
    getattr(bench, where).hook = fail_at(place, error)
    with pytest.raises(type(error)) as caught:
        bench.run()
    assert caught.value is error
    assert not bench.target.loading
    previous = bench.ledger.previous
    if previous is not None:
        assert previous.phase is Phase.COPYING
        assert previous.cursor is not None
        assert {row.key for row in odd if row.key <= previous.cursor.key} <= set(
            bench.target.documents
        )
    again = Bench(odd)
    again.target, again.ledger = bench.target, bench.ledger
    again.target.hook = fail_at("never", error)
    again.journal = FakeJournal(bench.ledger)
    after = previous.cursor if previous else None
    again.run(
        request=replace(whole(PLAN), after=after),
        counters=previous.counters if previous else Counters(),
    )
    assert again.target.contents() == again.expected_documents()
    assert {finding.key for finding in again.ledger.findings} == {"k00020"}
    assert again.ledger.previous is not None
    assert again.ledger.previous.counters.documents == 60


@pytest.mark.parametrize("error", [TargetBlocked("read-only"), KeyError("a bug"), SystemExit(1)])
def test_whatever_ends_the_copy_what_was_acknowledged_is_in_the_checkpoint(
    error: BaseException,
) -> None:
    """Errors that no retry helps against left the checkpoint as old as its interval."""
    bench = Bench(rows(60))
    bench.target.hook = fail_at("write", error, time=4)
    with pytest.raises(type(error)):
        bench.run(limits=CopyLimits(in_flight=1, checkpoint_seconds=1000))
    previous = bench.ledger.previous
    assert previous is not None
    assert previous.cursor is not None
    assert previous.cursor.key == "k00029"
    assert previous.counters.documents == 30


def test_a_second_failure_does_not_hide_the_first(caplog: pytest.LogCaptureFixture) -> None:
    """The type decides about the retry: a block stays a block though nothing else works either."""
    bench = Bench(rows(60))
    blocked = TargetBlocked("disk flood stage")

    def target(place: str) -> None:
        if place == "write" and bench.source.rows_read > 20:
            raise blocked
        if place == "finish":
            raise TargetUnavailable("the settings can't be restored")

    def journal(place: str) -> None:
        if place == "checkpoint":
            raise LedgerUnavailable("gone")

    bench.target.hook, bench.journal.hook = target, journal
    with caplog.at_level(logging.ERROR), pytest.raises(TargetBlocked) as caught:
        bench.run(limits=CopyLimits(checkpoint_seconds=1000))
    assert caught.value is blocked
    assert "the settings can't be restored" in caplog.text
    assert "keeps its load settings" in caplog.text


def test_a_fence_found_at_the_end_comes_before_the_error_that_ended_the_copy() -> None:
    bench = Bench(rows(60))
    bench.target.hook = fail_at("write", TargetUnavailable("gone"), time=4)

    def take_over(place: str) -> None:
        if place == "row":
            bench.ledger.begin()

    bench.source.hook = take_over
    with pytest.raises(Fenced):
        bench.run(limits=CopyLimits(checkpoint_seconds=1000))
    assert bench.ledger.history == []


def test_a_fenced_attempt_stops_and_leaves_the_newer_ones_load_settings_alone() -> None:
    bench = Bench(rows(500))

    def take_over(place: str) -> None:
        if place == "kept checkpoint" and len(bench.ledger.history) == 3:
            bench.ledger.begin()

    bench.journal.hook = take_over
    with pytest.raises(Fenced):
        bench.run()
    assert len(bench.ledger.history) == 3
    assert bench.target.loading
    assert bench.source.rows_read < 500


def test_a_failing_finish_keeps_the_unit_uncopied() -> None:
    bench = Bench(rows(20))
    bench.target.hook = fail_at("finish", TargetUnavailable("refresh failed"))
    with pytest.raises(TargetUnavailable):
        bench.run()
    assert bench.ledger.previous is not None
    assert bench.ledger.previous.phase is Phase.COPYING


def test_nothing_is_written_when_the_index_can_not_be_prepared() -> None:
    """The source is being read by then, as far ahead as a copy may be."""
    bench = Bench(rows(500))
    bench.target.hook = fail_at("prepare", TargetUnavailable("gone"))
    threads = set(threading.enumerate())
    with pytest.raises(TargetUnavailable):
        bench.run()
    assert (bench.target.documents, bench.ledger.history) == ({}, [])
    assert set(threading.enumerate()) <= threads
    assert bench.source.rows_read < 500


def test_the_first_rows_are_read_while_the_index_is_prepared() -> None:
    bench = Bench(rows(60))
    read = threading.Event()

    def row(place: str) -> None:
        if place == "row":
            read.set()

    def prepare(place: str) -> None:
        if place == "prepare":
            assert read.wait(5), "nothing is read before the index is there"

    bench.source.hook, bench.target.hook = row, prepare
    bench.run()
    assert bench.target.contents() == bench.expected_documents()


def test_zero_of_some_expected_rows_is_a_failure_and_not_a_copied_unit() -> None:
    bench = Bench([])
    with pytest.raises(NothingCopied, match=r"0 of 12 rows.*runs/t1/2025-01.*Next: ") as caught:
        bench.run(expected=12)
    assert caught.value.data == {"expected": 12}
    assert bench.ledger.history == []


def test_rows_that_are_all_rejected_are_no_empty_source() -> None:
    bench = Bench(rows(3), rejects=["k00000", "k00001", "k00002"])
    assert bench.run(expected=3).counters.rejected == 3


def test_a_finished_copy_that_is_resumed_behind_its_last_row_has_copied_something() -> None:
    bench = Bench(rows(5))
    last = Cursor((MONTH.start + 4 * HOUR).isoformat(), "k00004")
    request = replace(whole(PLAN), after=last)
    assert bench.run(request=request, counters=Counters(5, 5), expected=5).counters.documents == 5


def test_a_repair_that_reads_nothing_of_what_is_there_is_a_failure() -> None:
    bench = Bench([])
    request = replace(whole(PLAN), repair=True)
    with pytest.raises(NothingCopied):
        bench.run(request=request, counters=Counters(100, 100), expected=3)


def test_a_repair_never_looks_like_a_copy_that_was_broken_off() -> None:
    """Its rows' cursor stood in a ``copying`` record: the resume skipped what it had not seen."""
    bench = Bench(rows(60))
    bench.target.hook = fail_at("write", TargetUnavailable("gone"), time=4)
    request = ReadRequest(PLAN, (TimeRange(MONTH.start, MONTH.end),), repair=True)
    with pytest.raises(TargetUnavailable):
        bench.run(request=request, limits=replace(EAGER, in_flight=1))
    assert bench.ledger.history
    assert {record.phase for record in bench.ledger.history} == {Phase.COPIED}


def test_a_fenced_repair_stops_as_well() -> None:
    bench = Bench(rows(500))

    def take_over(place: str) -> None:
        if place == "kept checkpoint":
            bench.ledger.begin()

    bench.journal.hook = take_over
    with pytest.raises(Fenced):
        bench.run(request=replace(whole(PLAN), repair=True))
    assert bench.source.rows_read < 500


def test_every_document_refused_ends_early() -> None:
    some = rows(5000, step=HOUR / 10)
    bench = Bench(some, rejects=[row.key for row in some])
    with pytest.raises(TooManyRejected, match="were rejected") as caught:
        bench.run(limits=CopyLimits(share_after=50, max_rejected=1000))
    assert 50 <= caught.value.data["rejected"] < 200
    assert bench.source.rows_read < 500
    assert len(bench.ledger.dead_letters) < 500


def test_too_many_dead_letters_end_the_copy_whatever_their_share() -> None:
    some = rows(5000, step=HOUR / 10)
    bench = Bench(some, rejects=[row.key for row in some[::10]])
    with pytest.raises(TooManyRejected):
        bench.run(limits=CopyLimits(max_rejected=20))
    bench = Bench(some[:200], rejects=[row.key for row in some[:200:10]])
    assert bench.run(limits=CopyLimits(max_rejected=20)).counters.rejected == 20


def test_few_rejected_documents_among_few_are_tolerated() -> None:
    bench = Bench(rows(10), rejects=[row.key for row in rows(10)])
    counters = bench.run(limits=CopyLimits(share_after=11)).counters
    assert (counters.read, counters.documents, counters.rejected) == (10, 0, 10)


def test_a_target_that_forgets_documents_is_found_out() -> None:
    bench = Bench(rows(20))
    answer = bench.target.write
    bench.target.write = lambda *a, **k: replace(answer(*a, **k), acknowledged=9)  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match=r"10 documents.*accounts for 9"):
        bench.run()
    assert bench.ledger.history == []


@pytest.mark.parametrize("sequences", [[0, 0], [0, 2], [1, 2]])
def test_chunks_that_are_not_numbered_in_order_are_found_out(sequences: list[int]) -> None:
    bench = Bench(rows(20))
    numbers = iter(sequences)
    read = bench.source.read

    def renumbered(request: ReadRequest, **parts: object) -> None:
        emit = parts.pop("emit")
        assert callable(emit)
        read(
            request,
            emit=lambda chunk: emit(replace(chunk, sequence=next(numbers))),
            **parts,  # type: ignore[arg-type]
        )

    bench.source.read = renumbered  # type: ignore[method-assign]
    with pytest.raises((AssertionError, ValueError)):
        bench.run()
    assert all(record.phase is Phase.COPYING for record in bench.ledger.history)


def test_an_interrupt_before_the_first_row() -> None:
    bench = Bench(rows(60))
    bench.stop.set("SIGTERM")
    with pytest.raises(Interrupted, match="SIGTERM"):
        bench.run()
    assert not bench.target.loading


def test_an_interrupt_while_the_reader_is_blocked_and_a_sender_backs_off() -> None:
    bench = Bench(rows(200))
    waiting = threading.Barrier(3, timeout=5)

    def back_off(chunk: Chunk, stop: Stop) -> None:
        if chunk.sequence >= 3:
            waiting.wait()
            stop.wait(3600, "the back-off")

    bench.target.on_write = back_off

    def interrupt() -> None:
        waiting.wait()  # both senders wait an hour, and the reader for a free place
        bench.stop.set("SIGTERM")

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    began = time.monotonic()
    with pytest.raises(Interrupted, match="SIGTERM"):
        bench.run(limits=CopyLimits(in_flight=2, checkpoint_seconds=1000))
    interrupter.join()
    assert time.monotonic() - began < 2
    previous = bench.ledger.previous
    assert previous is not None
    assert previous.cursor is not None
    assert previous.cursor.key == "k00029"
    assert not bench.target.loading


def test_an_acknowledgement_that_comes_during_the_interrupt_still_counts() -> None:
    bench = Bench(rows(40), rejects=["k00012"])

    def slow(chunk: Chunk, stop: Stop) -> None:
        if chunk.sequence == 1:
            bench.stop.set("SIGTERM")
            time.sleep(0.05)

    bench.target.on_write = slow
    with pytest.raises(Interrupted):
        bench.run(limits=CopyLimits(in_flight=1, checkpoint_seconds=1000))
    previous = bench.ledger.previous
    assert previous is not None
    assert previous.cursor is not None
    assert previous.cursor.key == "k00019"
    assert set(bench.ledger.dead_letters) == {"k00012"}
    assert previous.counters.rejected == 1


def test_acknowledgements_out_of_order_never_move_the_checkpoint_too_far() -> None:
    bench = Bench(rows(100))
    later = threading.Event()

    def first_comes_last(chunk: Chunk, stop: Stop) -> None:
        if chunk.sequence == 0:
            later.wait(5)
        elif chunk.sequence == 3:
            later.set()

    bench.target.on_write = first_comes_last
    seen: list[tuple[str, bool]] = []

    def look(record: object) -> None:
        assert bench.ledger.previous is not None
        cursor = bench.ledger.previous.cursor
        assert cursor is not None
        seen.append((cursor.key, "k00000" in bench.target.documents))

    bench.ledger.on_checkpoint = look
    bench.run()
    assert all(first_is_there for _, first_is_there in seen)
    assert bench.target.contents() == bench.expected_documents()


def test_a_copy_that_can_not_start_its_threads_ends_those_it_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(rows(500))
    start = threading.Thread.start
    allowed = itertools.count()

    def two_only(thread: threading.Thread) -> None:
        if next(allowed) >= 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", two_only)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        bench.run()
    assert not bench.target.loading


def test_checkpoints_are_written_at_the_interval_and_only_when_something_moved() -> None:
    bench = Bench(rows(300))
    bench.run(limits=CopyLimits(in_flight=1, checkpoint_seconds=10), clock=FakeClock(step=1.0))
    assert 2 <= len(bench.ledger.history) <= 5
    positions = [(record.cursor, record.counters) for record in bench.ledger.history[:-1]]
    assert len(set(positions)) == len(positions)


def test_chunks_without_cursor_count_only_when_one_with_a_cursor_follows() -> None:
    bench = Bench(rows(100), cursor_every=3)
    bench.run()
    for record in bench.ledger.history[:-1]:
        assert record.counters.documents % 30 == 0
    assert bench.ledger.history[-1].counters.documents == 100


def test_progress_shows_the_unit_and_why_it_is_slow() -> None:
    bench = Bench(rows(40))
    write = bench.target.write

    def slow(*parts: object, **named: object) -> WriteResult:
        return replace(write(*parts, **named), note="429: slowed down")  # type: ignore[arg-type]

    bench.target.write = slow  # type: ignore[method-assign]
    bench.run(unit=plan(estimate=Estimate(80, 0, exact=False)), clock=FakeClock(step=1.0))
    shown = bench.journal.shown[-1]
    assert (shown.done, shown.rows, shown.percent) == (40, 80, 50.0)
    assert shown.note == "429: slowed down"
    assert shown.rate > 0


def test_the_target_s_words_are_shown_once() -> None:
    bench = Bench(rows(40))
    write = bench.target.write

    def pressed(*parts: object, **named: object) -> WriteResult:
        found = write(*parts, **named)  # type: ignore[arg-type]
        return replace(found, note="retried once: HTTP 429", refusals=1)

    bench.target.write = pressed  # type: ignore[method-assign]
    bench.run()
    note = bench.journal.shown[-1].note
    assert " of 3 bulks in flight, " in note
    assert note.count("retried once: HTTP 429") == 1


def test_a_repair_does_not_pretend_to_know_how_long_it_takes() -> None:
    bench = Bench(rows(40))
    unit = plan(estimate=Estimate(80, 0, exact=True))
    bench.run(request=replace(whole(unit), repair=True), counters=Counters(80, 80), unit=unit)
    assert bench.journal.shown[-1].percent is None
