"""The copy loop: what the pipeline has written -> watermark -> checkpoint.

Guarantees: the checkpoint never passes a row that is neither acknowledged nor in the dead
letters, nor a finding that isn't kept; every way out (end, error, stop) leaves a durable checkpoint
and restored index settings, and no thread; an error in any thread ends the copy and is raised;
memory is bounded by ``(2 * in_flight + 2) * chunk_bytes`` whatever the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor
from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.errors import Fenced, NothingCopied, TooManyRejected
from airflow_provider_logmigrate.core.pace import Pace
from airflow_provider_logmigrate.core.pipeline import Event, Failed, Pipeline, ReadDone, Written
from airflow_provider_logmigrate.core.ports import (
    CopyLimits,
    CopyOutcome,
    Journal,
    Loader,
    ReadRequest,
    RowReader,
    SourceFinding,
)
from airflow_provider_logmigrate.core.progress import Progress, ProgressMeter
from airflow_provider_logmigrate.core.watermark import Watermark

POLL_SECONDS = 0.2
"""How often the stop flag is looked at while nothing happens."""

FINDINGS_AT_ONCE = 500
"""Findings kept in one call of the journal, which costs a transaction."""

FINDINGS_RETURNED = 100
"""Findings in the outcome; the journal has all of them."""

_log = logging.getLogger(__name__)


def copy(
    *,
    source: RowReader,
    target: Loader,
    journal: Journal,
    request: ReadRequest,
    counters: Counters,
    upper: datetime,
    limits: CopyLimits,
    clock: Clock,
    stop: Stop,
    expected: int = 0,
    pace: Pace | None = None,
) -> CopyOutcome:
    """Copy what ``request`` asks for, from its cursor on.

    A repair has no position to resume from: while it runs, the unit stays ``copied`` in the
    checkpoint, and after a kill the differing hours are looked for again.

    :param counters: of the attempts before, continued in every checkpoint.
    :param upper: event time up to which the unit is read; stored in the checkpoint.
    :param expected: rows that are known to be there, 0 if unknown.
    :param pace: of the task, kept from unit to unit; default: a new one from ``limits``.
    :raises Interrupted: ``stop`` was set; the checkpoint is durable.
    :raises TooManyRejected: see :class:`CopyLimits`.
    :raises NothingCopied: rows were expected, and not one came. The unit isn't marked as copied.
    """
    loop = _Loop(
        source=source,
        target=target,
        journal=journal,
        request=request,
        counters=counters,
        upper=upper,
        limits=limits,
        clock=clock,
        pace=pace or Pace(limits=limits, clock=clock),
    )
    loop.read_ahead()
    try:
        target.prepare(request.plan)
    except BaseException as error:
        loop.end(error)
        raise
    try:
        loop.run(stop)
    except Fenced:
        raise  # the newer attempt is loading: the index settings are its business now
    except BaseException:
        _at_the_end(
            lambda: target.finish(request.plan),
            f"{request.plan.index} keeps its load settings until the next attempt",
        )
        raise
    target.finish(request.plan)
    loop.close(expected)
    return CopyOutcome(loop.watermark.complete, request.after, tuple(loop.found))


def _at_the_end(work: Callable[[], None], otherwise: str) -> None:
    """Do something while an error is being raised, whose type decides what happens next.

    A failure in here is logged instead of taking that error's place. :raises Fenced: all the same,
    since it says that nothing may happen next.
    """
    try:
        work()
    except Fenced:
        raise
    except Exception:  # noqa: BLE001 - logged; the error that is being raised is more important
        _log.exception("While ending the copy: %s", otherwise)


class _Loop:
    """State of one copy; all of it belongs to the calling thread."""

    def __init__(
        self,
        *,
        source: RowReader,
        target: Loader,
        journal: Journal,
        request: ReadRequest,
        counters: Counters,
        upper: datetime,
        limits: CopyLimits,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._journal, self._request, self._plan = journal, request, request.plan
        self._upper, self._limits, self._clock = upper, limits, clock
        self._pace = pace
        self._pipeline = Pipeline(
            source=source, target=target, request=request, in_flight=limits.in_flight, pace=pace
        )
        self.watermark = Watermark(request.after, counters)
        self.found: list[SourceFinding] = []
        self._unkept: list[SourceFinding] = []
        # A repair reads some hours only: the unit's estimate says nothing about how long.
        estimate = None if request.repair else request.plan.estimate
        self._meter = ProgressMeter(unit=request.plan.key, rows=estimate.rows if estimate else None)
        self._before = counters.documents + counters.rejected if request.repair else 0
        self._saved: tuple[Cursor | None, Counters] = (request.after, counters)
        self._note = ""

    def read_ahead(self) -> None:
        """Begin to read; :meth:`run` or :meth:`end` must follow."""
        self._snapshot()  # the rate's first sample: where this attempt starts
        self._pipeline.read()

    def end(self, error: BaseException) -> None:
        """Stop all threads and wait for them."""
        self._pipeline.end(f"{type(error).__name__}: {error}")

    def run(self, stop: Stop) -> None:
        """Write what is read until everything is settled, or raise the first error."""
        try:
            self._pipeline.write()
            self._settle_all(stop)
        except BaseException as error:
            self.end(error)
            if not isinstance(error, Fenced):
                _at_the_end(
                    self._keep_what_is_safe,
                    f"{self._plan.key} will be read again from its checkpoint before this one",
                )
            raise
        self._pipeline.end("everything is settled")

    def close(self, expected: int) -> None:
        """Write the final checkpoint: the unit is copied."""
        counters = self.watermark.complete
        if expected and counters.documents + counters.rejected == self._before:
            raise NothingCopied(
                f"0 of {expected:,} rows were copied", where=self._plan.key, expected=expected
            )
        self._write_checkpoint(self.watermark.cursor, counters, copied=True)
        self._journal.progress(self._snapshot())

    def _settle_all(self, stop: Stop) -> None:
        read_done = False
        settled = 0
        saved_at = shown_at = self._clock.monotonic()
        while not (read_done and settled == self._pipeline.emitted):
            stop.check(self._plan.key)
            event = self._pipeline.next_event(timeout=POLL_SECONDS)
            if isinstance(event, ReadDone):
                read_done = True
            elif event is not None:
                settled += self._take(event)
            now = self._clock.monotonic()
            if now - saved_at >= self._limits.checkpoint_seconds:
                saved_at = now
                self._save()
            if now - shown_at >= self._limits.progress_seconds:
                shown_at = now
                self._journal.progress(self._snapshot())
        self._keep_findings()
        if self.watermark.waiting:
            raise AssertionError(f"the chunks of {self._plan.key} aren't numbered without gaps")

    def _take(self, event: Event) -> int:
        """Take one event; how many chunks it settled."""
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, SourceFinding):
            self._unkept.append(event)
            if len(self._unkept) >= FINDINGS_AT_ONCE:
                self._keep_findings()
            return 0
        if isinstance(event, Written):
            self._settle(event)
            self._pipeline.settled()
            if event.rejected:
                self._guard_rejections()
            return 1
        return 0

    def _settle(self, written: Written) -> None:
        """Move the watermark, once what the chunk leaves behind is durable."""
        self._keep_findings()
        if written.rejected:
            self._journal.dead_letters(self._plan, written.rejected)
        self._note = written.note
        self.watermark.settle(written.sequence, written.cursor, written.counters)

    def _guard_rejections(self) -> None:
        counters, limits = self.watermark.complete, self._limits
        tried = counters.documents + counters.rejected
        if counters.rejected > limits.max_rejected or (
            tried >= limits.share_after and counters.rejected > limits.max_rejected_share * tried
        ):
            raise TooManyRejected(
                f"{counters.rejected:,} of {tried:,} documents were rejected",
                where=self._plan.key,
                rejected=counters.rejected,
                tried=tried,
            )

    def _keep_findings(self) -> None:
        if self._unkept:
            self._journal.findings(self._plan, tuple(self._unkept))
            self.found += self._unkept[: FINDINGS_RETURNED - len(self.found)]
            self._unkept.clear()

    def _save(self) -> None:
        position = (self.watermark.cursor, self.watermark.counters)
        if position != self._saved:
            self._write_checkpoint(*position, copied=self._request.repair)
            self._saved = position

    def _write_checkpoint(self, cursor: Cursor | None, counters: Counters, *, copied: bool) -> None:
        self._journal.checkpoint(
            self._plan, cursor=cursor, counters=counters, upper=self._upper, copied=copied
        )

    def _keep_what_is_safe(self) -> None:
        """After the threads have ended: settle what they still finished, then checkpoint."""
        try:
            while (event := self._pipeline.next_event(timeout=0)) is not None:
                if isinstance(event, SourceFinding):
                    self._unkept.append(event)
                elif isinstance(event, Written):
                    self._settle(event)
        finally:
            self._save()

    def _snapshot(self) -> Progress:
        note = self._pace.note()
        if self._note not in note:  # the target's words are often in there already
            note = f"{note}; {self._note}" if note else self._note
        return self._meter.snapshot(
            at=self._clock.monotonic(), counters=self.watermark.complete, note=note
        )
