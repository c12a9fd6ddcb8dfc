"""The copy loop: reader thread -> bounded queue -> senders -> watermark -> checkpoint.

Guarantees: the checkpoint never passes a row that is neither acknowledged nor in the dead
letters; every way out (end, error, stop) leaves a durable checkpoint and restored index settings;
an error in any thread ends the copy and is raised; memory is bounded by
``(2 * in_flight + 2) * chunk_bytes`` whatever the rows.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.errors import Fenced, TooManyRejected
from airflow_provider_logmigrate.core.ports import (
    CopyLimits,
    CopyOutcome,
    Journal,
    ReadRequest,
    Source,
    SourceFinding,
    Target,
    WriteResult,
)
from airflow_provider_logmigrate.core.progress import Progress, ProgressMeter
from airflow_provider_logmigrate.core.watermark import Watermark

POLL_SECONDS = 0.2
"""How often blocked threads look at the stop flag."""


@dataclass(frozen=True, slots=True)
class _Written:
    chunk: Chunk
    result: WriteResult


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


class _ReadDone:
    """The reader has emitted everything."""


_Event = _Written | _Failed | _ReadDone | SourceFinding


def copy(
    *,
    source: Source,
    target: Target,
    journal: Journal,
    request: ReadRequest,
    counters: Counters,
    upper: datetime,
    limits: CopyLimits,
    clock: Clock,
    stop: Stop,
) -> CopyOutcome:
    """Copy what ``request`` asks for, from its cursor on.

    :param counters: of the attempts before, continued in every checkpoint.
    :param upper: event time up to which the unit is read; stored in the checkpoint.
    :raises Interrupted: ``stop`` was set; the checkpoint is durable.
    :raises TooManyRejected: see :class:`CopyLimits`.
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
    )
    target.prepare(request.plan)
    try:
        loop.run(stop)
    except Fenced:
        raise  # the newer attempt is loading: the index settings are its business now
    except BaseException:
        target.finish(request.plan)
        raise
    target.finish(request.plan)
    loop.close()
    return CopyOutcome(loop.watermark.complete, request.after, tuple(loop.found))


class _Loop:
    """State of one copy; all of it belongs to the calling thread but the two queues."""

    def __init__(
        self,
        *,
        source: Source,
        target: Target,
        journal: Journal,
        request: ReadRequest,
        counters: Counters,
        upper: datetime,
        limits: CopyLimits,
        clock: Clock,
    ) -> None:
        self._source, self._target, self._journal = source, target, journal
        self._request, self._plan, self._upper = request, request.plan, upper
        self._limits, self._clock = limits, clock
        self.watermark = Watermark(request.after, counters)
        self.found: list[SourceFinding] = []
        estimate = request.plan.estimate
        self._meter = ProgressMeter(unit=request.plan.key, rows=estimate.rows if estimate else None)
        self._chunks: queue.Queue[Chunk | None] = queue.Queue(limits.in_flight)
        self._events: queue.Queue[_Event] = queue.Queue()
        self._saved: tuple[Cursor | None, Counters] = (request.after, counters)
        self._emitted = 0
        self._note = ""

    def run(self, stop: Stop) -> None:
        """Run threads until everything is settled, or raise the first error."""
        inner = Stop()
        threads = [threading.Thread(target=self._read, args=(inner,), name="reader", daemon=True)]
        threads += [
            threading.Thread(target=self._send, args=(inner,), name=f"sender-{n}", daemon=True)
            for n in range(self._limits.in_flight)
        ]
        for thread in threads:
            thread.start()
        error: BaseException | None = None
        try:
            self._settle_all(stop)
        except BaseException as caught:  # noqa: BLE001 - raised below, when the threads ended
            error = caught
            inner.set(str(caught))
        for thread in threads:
            thread.join()
        if error is not None:
            self._keep_what_is_safe(error)
            raise error

    def close(self) -> None:
        """Write the final checkpoint: the unit is copied."""
        self._journal.checkpoint(
            self._plan,
            cursor=self.watermark.cursor,
            counters=self.watermark.complete,
            upper=self._upper,
            copied=True,
        )
        self._journal.progress(self._snapshot())

    def _settle_all(self, stop: Stop) -> None:
        read_done = False
        settled = 0
        saved_at = shown_at = self._clock.monotonic()
        while not (read_done and settled == self._emitted):
            stop.check(self._plan.key)
            event = self._next_event()
            if isinstance(event, _Failed):
                raise event.error
            if isinstance(event, _ReadDone):
                read_done = True
            elif isinstance(event, SourceFinding):
                self._take_finding(event)
            elif event is not None:
                settled += 1
                self._settle(event)
            now = self._clock.monotonic()
            if now - saved_at >= self._limits.checkpoint_seconds:
                saved_at = now
                self._save()
            if now - shown_at >= self._limits.progress_seconds:
                shown_at = now
                self._journal.progress(self._snapshot())

    def _next_event(self) -> _Event | None:
        try:
            return self._events.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return None

    def _settle(self, written: _Written) -> None:
        chunk, result = written.chunk, written.result
        if result.acknowledged + len(result.rejected) != chunk.count:
            raise AssertionError(f"chunk {chunk.sequence} of {self._plan.key} isn't accounted for")
        if result.rejected:
            self._journal.dead_letters(self._plan, result.rejected)
        self._note = result.note
        self.watermark.settle(
            chunk.sequence,
            chunk.cursor,
            Counters(chunk.count, result.acknowledged, len(result.rejected), len(chunk.body)),
        )
        if result.rejected:
            self._guard_rejections()

    def _guard_rejections(self) -> None:
        counters, limits = self.watermark.complete, self._limits
        tried = counters.documents + counters.rejected
        share = counters.rejected / tried if tried else 1.0
        if counters.rejected > limits.max_rejected or (
            tried >= limits.share_after and share > limits.max_rejected_share
        ):
            raise TooManyRejected(
                f"{counters.rejected:,} of {tried:,} documents were rejected",
                where=self._plan.key,
                rejected=counters.rejected,
                tried=tried,
            )

    def _take_finding(self, finding: SourceFinding) -> None:
        self._journal.findings(self._plan, [finding])
        if len(self.found) < 100:
            self.found.append(finding)

    def _save(self) -> None:
        position = (self.watermark.cursor, self.watermark.counters)
        if position != self._saved:
            self._journal.checkpoint(
                self._plan,
                cursor=position[0],
                counters=position[1],
                upper=self._upper,
                copied=False,
            )
            self._saved = position

    def _keep_what_is_safe(self, error: BaseException) -> None:
        """After the threads have ended: settle what they still finished, then checkpoint."""
        retryable = getattr(error, "retryable", False)
        if not (retryable or isinstance(error, KeyboardInterrupt)):
            return
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            if isinstance(event, _Written) and not event.result.rejected:
                self._settle(event)
        self._save()

    def _snapshot(self) -> Progress:
        return self._meter.snapshot(
            at=self._clock.monotonic(), counters=self.watermark.complete, note=self._note
        )

    def _read(self, inner: Stop) -> None:
        def emit(chunk: Chunk) -> None:
            self._emitted += 1
            self._put(chunk, inner)

        try:
            self._source.read(
                self._request,
                framing=self._target,
                emit=emit,
                report=self._events.put,
                stop=inner,
            )
            for _ in range(self._limits.in_flight):
                self._put(None, inner)
            self._events.put(_ReadDone())
        except BaseException as error:  # noqa: BLE001 - forwarded: swallowed, it would lose rows
            self._events.put(_Failed(error))

    def _put(self, chunk: Chunk | None, inner: Stop) -> None:
        while True:
            inner.check(self._plan.key)
            try:
                self._chunks.put(chunk, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return

    def _send(self, inner: Stop) -> None:
        try:
            while (chunk := self._take(inner)) is not None:
                result = self._target.write(self._plan, chunk, stop=inner)
                self._events.put(_Written(chunk, result))
        except BaseException as error:  # noqa: BLE001 - forwarded to the calling thread
            self._events.put(_Failed(error))

    def _take(self, inner: Stop) -> Chunk | None:
        while True:
            inner.check(self._plan.key)
            try:
                return self._chunks.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
