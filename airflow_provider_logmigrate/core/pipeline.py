"""The threads of one copy: a reader, several senders, and what they tell the calling thread.

Guarantees: between the reader and :meth:`Pipeline.settled` are at most ``2 * in_flight`` chunks,
however slow the target or the ledger is, and a chunk's bytes live no longer than its write; every
error in a thread reaches the calling thread as an event; :meth:`Pipeline.end` returns when every
thread has ended.

How many senders write at the same time, how large chunks get, and how long the reader is held is
the business of :class:`~airflow_provider_logmigrate.core.pace.Pace`, which learns from each write.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, replace

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.gate import Gate
from airflow_provider_logmigrate.core.pace import Pace
from airflow_provider_logmigrate.core.ports import (
    ReadRequest,
    Rejected,
    RowReader,
    SourceFinding,
    Writer,
)
from airflow_provider_logmigrate.core.throttle import Sent


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one chunk, without its bytes: waiting to be settled costs no memory."""

    sequence: int
    cursor: Cursor | None
    counters: Counters
    rejected: tuple[Rejected, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A thread ended with this error."""

    error: BaseException


class ReadDone:
    """The reader has emitted everything."""


Event = Written | Failed | ReadDone | SourceFinding


class Pipeline:
    """Reads chunks and writes them, several at a time, until :meth:`end`.

    :param in_flight: writes at the same time, at most.
    :param pace: says how many of them are allowed at the moment.
    """

    def __init__(
        self, *, source: RowReader, target: Writer, request: ReadRequest, in_flight: int, pace: Pace
    ) -> None:
        self._source, self._target, self._pace = source, target, pace
        self._plan = request.plan
        self._stop = Stop()
        self._request = replace(
            request,
            chunk_bytes=pace.chunk_bytes,
            page_rows=pace.page_rows,
            before_page=self._before_page,
        )
        self._gate = Gate(pace.in_flight)
        self._room = threading.Semaphore(2 * in_flight)
        self._chunks: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        self._senders = [
            threading.Thread(target=self._send, name=f"sender-{n}", daemon=True)
            for n in range(in_flight)
        ]
        self.emitted = 0
        """Chunks handed over so far; final once :class:`ReadDone` has come."""

    def read(self) -> None:
        """Start reading: the first chunks are ready when the target is.

        Whatever happens here or later, :meth:`end` must be called.
        """
        self._reader.start()

    def write(self) -> None:
        """Start writing what is read."""
        for thread in self._senders:
            thread.start()

    def next_event(self, *, timeout: float) -> Event | None:
        """The next event; ``None`` if there is none for ``timeout`` seconds.

        A finding comes before the result of the chunk that holds its row.
        """
        try:
            return self._events.get(timeout=timeout) if timeout else self._events.get_nowait()
        except queue.Empty:
            return None

    def settled(self) -> None:
        """A chunk is done with: the reader may go one further."""
        self._room.release()

    def end(self, reason: str) -> None:
        """Stop what still runs and wait until every thread has ended. Idempotent."""
        self._stop.set(reason)
        self._gate.open()
        self._room.release()
        for _ in self._senders:
            self._chunks.put(None)
        for thread in (self._reader, *self._senders):
            if thread.ident is not None:
                thread.join()

    def _read(self) -> None:
        try:
            self._source.read(
                self._request,
                framing=self._target,
                emit=self._emit,
                report=self._events.put,
                stop=self._stop,
            )
            for _ in self._senders:
                self._chunks.put(None)
            self._events.put(ReadDone())
        except BaseException as error:  # noqa: BLE001 - forwarded: swallowed, it would lose rows
            self._events.put(Failed(error))

    def _before_page(self) -> None:
        self._pace.before_page(self._stop, self._plan.key)

    def _emit(self, chunk: Chunk) -> None:
        self._stop.check(self._plan.key)
        self._pace.before_chunk(
            documents=chunk.count, size=len(chunk.body), stop=self._stop, where=self._plan.key
        )
        self._room.acquire()
        self._stop.check(self._plan.key)
        self.emitted += 1
        self._chunks.put(chunk)

    def _send(self) -> None:
        try:
            while self._send_one():
                pass
        except BaseException as error:  # noqa: BLE001 - forwarded to the calling thread
            self._events.put(Failed(error))

    def _send_one(self) -> bool:
        """Write the next chunk; False when there is none left."""
        self._gate.enter()
        try:
            chunk = self._chunks.get()
            if chunk is None:
                return False
            self._stop.check(self._plan.key)
            self._events.put(self._write(chunk))
            return True
        finally:
            self._gate.leave()

    def _write(self, chunk: Chunk) -> Written:
        flight = self._pace.window.flight
        result = self._target.write(self._plan, chunk, stop=self._stop)
        if chunk.count:  # a sweep's chunk may carry nothing but its position
            self._pace.sent(
                Sent(
                    seconds=result.seconds,
                    size=len(chunk.body),
                    flight=flight,
                    refusals=result.refusals,
                    split=result.split,
                    why=result.note,
                ),
                self._plan.key,
            )
        rejected = len(result.rejected)
        if result.acknowledged + rejected != chunk.count:
            raise AssertionError(
                f"chunk {chunk.sequence} of {self._plan.key} has {chunk.count} documents, the"
                f" target accounts for {result.acknowledged} and {rejected} rejected ones"
            )
        counters = Counters(chunk.count, result.acknowledged, rejected, len(chunk.body))
        return Written(chunk.sequence, chunk.cursor, counters, result.rejected, result.note)
