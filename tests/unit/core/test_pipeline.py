"""The threads of a copy: bounded, in order, and gone at the end."""

from __future__ import annotations

import threading
import time
import tracemalloc
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor
from airflow_provider_logmigrate.core.chunk import Chunk, Chunker
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.copy import copy
from airflow_provider_logmigrate.core.errors import Interrupted, LedgerUnavailable
from airflow_provider_logmigrate.core.pace import Pace
from airflow_provider_logmigrate.core.pipeline import Failed, Pipeline, ReadDone, Written
from airflow_provider_logmigrate.core.ports import CopyLimits, ReadRequest, WriteResult
from airflow_provider_logmigrate.core.throttle import Sent
from tests.unit.core.building import MONTH, FakeClock, by_key, plan, rows, whole
from tests.unit.core.fakes import FakeJournal, FakeLedger, FakeSource, FakeTarget

PLAN = plan()


class Census:
    """Counts the bulk bodies that are alive."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.alive = 0
        self.most = 0
        self.made = 0

    def born(self) -> None:
        with self.lock:
            self.made += 1
            self.alive += 1
            self.most = max(self.most, self.alive)

    def died(self) -> None:
        with self.lock:
            self.alive -= 1


class Body(bytes):
    """A body whose life is counted."""

    census: Census

    def __del__(self) -> None:
        self.census.died()


class Endless(FakeSource):
    """Emits ``chunks`` chunks of one document."""

    def __init__(self, chunks: int, census: Census) -> None:
        super().__init__({})
        self.chunks = chunks
        self.census = census

    def read(
        self, request: ReadRequest, *, emit: Callable[[Chunk], None], stop: Stop, **_: Any
    ) -> None:
        for n in range(self.chunks):
            stop.check("the endless source")
            body = Body(b"x")
            body.census = self.census
            self.census.born()
            emit(Chunk(n, body, array("Q", [0]), ("k",), Cursor("", str(n))))
            del body


class Sink(FakeTarget):
    """Acknowledges everything and keeps nothing."""

    def write(self, plan: object, chunk: Chunk, *, stop: Stop) -> WriteResult:
        self.on_write(chunk, stop)
        return WriteResult(chunk.count)


def pipeline_of(source: FakeSource) -> Pipeline:
    return Pipeline(
        source=source,
        target=FakeTarget(),
        request=whole(PLAN),
        in_flight=2,
        pace=Pace(limits=CopyLimits(in_flight=2), clock=FakeClock()),
    )


def settle(seconds: float, done: Callable[[], bool]) -> None:
    """Wait until nothing moves any more, at most ``seconds``."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.05)


@pytest.mark.parametrize("in_flight", [1, 2, 4])
def test_a_ledger_that_blocks_stops_the_reader_instead_of_filling_the_memory(
    in_flight: int,
) -> None:
    """Written chunks waited for the calling thread with their bytes, as many as there were."""
    census = Census()
    source, target = Endless(500, census), Sink()
    journal = FakeJournal(FakeLedger())
    counted: list[tuple[int, int]] = []

    def blocked(place: str) -> None:
        if place == "checkpoint" and not counted:
            settle(2, lambda: census.made >= 2 * in_flight + 2)
            counted.append((census.made, census.alive))

    journal.hook = blocked
    outcome = copy(
        source=source,
        target=target,
        journal=journal,
        request=whole(PLAN),
        counters=Counters(),
        upper=MONTH.end,
        limits=CopyLimits(in_flight=in_flight, checkpoint_seconds=0),
        clock=FakeClock(),
        stop=Stop(),
    )
    assert outcome.counters.documents == 500
    assert census.most <= 2 * in_flight + 2
    made, alive = counted[0]
    assert made <= 2 * in_flight + 2  # one settled, the others wait for room
    assert alive <= in_flight + 1  # what is written needs its bytes no more
    assert census.alive == 0


def test_a_target_that_blocks_stops_the_reader() -> None:
    census = Census()
    source, target = Endless(500, census), Sink()
    most: list[int] = []

    def slow(chunk: Chunk, stop: Stop) -> None:
        if chunk.sequence in (10, 11):
            settle(2, lambda: census.alive >= 5)
            most.append(census.alive)

    target.on_write = slow
    copy(
        source=source,
        target=target,
        journal=FakeJournal(FakeLedger()),
        request=whole(PLAN),
        counters=Counters(),
        upper=MONTH.end,
        limits=CopyLimits(in_flight=2),
        clock=FakeClock(),
        stop=Stop(),
    )
    assert most
    assert census.most <= 6
    assert census.alive == 0


def test_memory_does_not_grow_with_the_rows() -> None:
    document = b"d" * 2000

    class Big(FakeSource):
        def __init__(self, count: int) -> None:
            super().__init__({})
            self.count = count

        def read(
            self, request: ReadRequest, *, emit: Callable[[Chunk], None], stop: Stop, **_: Any
        ) -> None:
            chunker = Chunker(emit, max_bytes=50_000)
            for n in range(self.count):
                if chunker.add(document, f"k{n}"):
                    chunker.cut(Cursor("", f"k{n}"))
            chunker.cut(Cursor("", "last"))

    def peak(count: int) -> int:
        tracemalloc.start()
        copy(
            source=Big(count),
            target=Sink(),
            journal=FakeJournal(FakeLedger()),
            request=whole(PLAN),
            counters=Counters(),
            upper=MONTH.end,
            limits=CopyLimits(in_flight=2),
            clock=FakeClock(),
            stop=Stop(),
        )
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(300), peak(12_000)
    assert many < 6 * 2 * 50_000
    assert many < 2 * few + 100_000


def test_a_finding_comes_before_the_result_of_its_chunk() -> None:
    some = by_key(rows(20))
    source = FakeSource({k: type(r)(r.key, r.at, r.text, odd=True) for k, r in some.items()})
    pipeline = pipeline_of(source)
    pipeline.read()
    pipeline.write()
    order: list[str] = []
    while "done" not in order or order.count("written") < 2:
        event = pipeline.next_event(timeout=5)
        assert event is not None
        assert not isinstance(event, Failed)
        if isinstance(event, Written):
            order.append("written")
        else:
            order.append("done" if isinstance(event, ReadDone) else "finding")
    pipeline.end("the test is over")
    assert order.index("written") >= 10
    assert order.count("finding") == 20
    assert pipeline.emitted == 2


def test_ending_twice_and_ending_before_the_start_are_harmless() -> None:
    source = FakeSource(by_key(rows(500)))
    pipeline = pipeline_of(source)
    pipeline.end("never started")
    pipeline = pipeline_of(source)
    pipeline.read()
    pipeline.write()
    pipeline.end("early")
    pipeline.end("again")
    assert pipeline.emitted <= 5


def test_a_reader_that_goes_on_after_the_end_is_stopped_at_its_next_chunk() -> None:
    """A source that swallows the interrupt once can't hang the copy."""
    refused: list[Exception] = []

    class Stubborn(FakeSource):
        def read(self, request: ReadRequest, *, emit: Callable[[Chunk], None], **_: Any) -> None:
            for n in range(100):
                try:
                    emit(Chunk(n, b"x", array("Q", [0]), ("k",), None))
                except Interrupted as error:
                    refused.append(error)

    class Stuck(Sink):
        def write(self, plan: object, chunk: Chunk, *, stop: Stop) -> WriteResult:
            raise LedgerUnavailable("whatever")

    with pytest.raises(LedgerUnavailable):
        copy(
            source=Stubborn({}),
            target=Stuck(),
            journal=FakeJournal(FakeLedger()),
            request=whole(PLAN),
            counters=Counters(),
            upper=MONTH.end,
            limits=CopyLimits(),
            clock=FakeClock(),
            stop=Stop(),
        )
    assert len(refused) >= 90


def test_pressure_lowers_the_writes_at_the_same_time() -> None:
    """The first four writes meet; one of them is refused for a while, and from then on few may."""
    together = threading.Barrier(4, timeout=60)
    lock = threading.Lock()
    inside: list[int] = []
    now = 0

    class Pressed(Sink):
        def write(self, plan: object, chunk: Chunk, *, stop: Stop) -> WriteResult:
            nonlocal now
            with lock:
                now += 1
                inside.append(now)
            if chunk.sequence < 4:
                together.wait()
            time.sleep(0.002)
            with lock:
                now -= 1
            return WriteResult(chunk.count, refusals=int(chunk.sequence == 3), note="HTTP 429")

    journal = FakeJournal(FakeLedger())
    pace = Pace(limits=CopyLimits(in_flight=4), clock=FakeClock())
    outcome = copy(
        source=Endless(60, Census()),
        target=Pressed(),
        journal=journal,
        request=whole(PLAN),
        counters=Counters(),
        upper=MONTH.end,
        limits=CopyLimits(in_flight=4),
        clock=FakeClock(),
        stop=Stop(),
        pace=pace,
    )
    assert outcome.counters.documents == 60
    assert max(inside[:4]) == 4
    assert max(inside[8:]) <= 2
    assert pace.in_flight() == 2
    assert "2 of 4 bulks in flight, 4 of 4 MiB each: HTTP 429" in journal.shown[-1].note


def test_a_source_is_told_the_size_of_each_chunk_and_asks_before_each_page() -> None:
    sizes: list[int] = []
    pages: list[str] = []

    class Asking(FakeSource):
        def read(
            self, request: ReadRequest, *, emit: Callable[[Chunk], None], stop: Stop, **_: Any
        ) -> None:
            assert request.chunk_bytes is not None
            assert request.before_page is not None
            for n in range(3):
                request.before_page()
                sizes.append(request.chunk_bytes())
                body = bytes(sizes[-1])
                emit(Chunk(n, body, array("Q", [0]), ("k",), Cursor("", str(n))))
                taken.acquire(timeout=60)

    class TooBig(Sink):
        def write(self, plan: object, chunk: Chunk, *, stop: Stop) -> WriteResult:
            return WriteResult(chunk.count, split=True)

    taken = threading.Semaphore(0)

    class Watched(Pace):
        def before_page(self, stop: Stop, where: str) -> None:
            pages.append(where)

        def sent(self, sent: Sent, where: str) -> None:
            super().sent(sent, where)
            taken.release()

    limits = CopyLimits(in_flight=2, chunk_bytes=1 << 20)
    copy(
        source=Asking({}),
        target=TooBig(),
        journal=FakeJournal(FakeLedger()),
        request=whole(PLAN),
        counters=Counters(),
        upper=MONTH.end,
        limits=limits,
        clock=FakeClock(),
        stop=Stop(),
        pace=Watched(limits=limits, clock=FakeClock()),
    )
    assert sizes == [1 << 20, 1 << 19, 1 << 18]
    assert pages == [PLAN.key] * 3
