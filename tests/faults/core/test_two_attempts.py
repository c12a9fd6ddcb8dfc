"""Law 2: two live attempts of one unit do no harm; the older one stops at its next checkpoint."""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_logmigrate.core.backfill import Action, UnitOutcome, backfill_unit
from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Cursor, Phase, newest
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.core.ports import CopyLimits
from tests.unit.core.building import MONTH, FakeClock, Row, by_key, plan
from tests.unit.core.fakes import FakeJournal, FakeLedger, FakeSource, FakeTarget

PLAN = plan()


@pytest.fixture(autouse=True)
def threads_take_turns_often() -> Iterator[None]:
    """Many more interleavings than with the usual 5 ms per turn."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


class Attempt(threading.Thread):
    """One attempt in a thread of its own, with its own view of the shared stores."""

    def __init__(
        self,
        rows: dict[str, Row],
        target: FakeTarget,
        ledger: FakeLedger,
        *,
        versions: Iterator[int],
        checkpoint_seconds: float = 0.0,
    ) -> None:
        super().__init__()
        self.source = FakeSource(rows, chunk_rows=5, versions=versions)
        self.source.rows_by_key = rows
        self.target = target
        number, self.previous = ledger.begin()
        self.journal = FakeJournal(ledger, attempt=number)
        self.limits = CopyLimits(in_flight=2, checkpoint_seconds=checkpoint_seconds)
        self.outcome: UnitOutcome | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.outcome = backfill_unit(
                source=self.source,
                target=self.target,
                journal=self.journal,
                plan=PLAN,
                previous=self.previous,
                settle_lag=timedelta(0),
                limits=self.limits,
                clock=FakeClock(),
                stop=Stop(),
            )
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.error = error


def minutes(count: int) -> dict[str, Row]:
    return by_key(
        Row(f"k{n:04d}", MONTH.start + timedelta(minutes=n), f"{n}") for n in range(count)
    )


def test_an_orphan_that_writes_late_changes_nothing() -> None:
    """It read a page, lost its supervisor, and sends the page after the retry has finished."""
    rows, ledger, versions = minutes(50), FakeLedger(), itertools.count(1)
    target = FakeTarget()
    reached, released = threading.Event(), threading.Event()

    class Slow(FakeTarget):
        def write(self, *parts: object, **named: object) -> object:  # type: ignore[override]
            reached.set()
            assert released.wait(10)
            return target.write(*parts, **named)  # type: ignore[arg-type]

    orphan = Attempt(rows, Slow(), ledger, versions=versions)
    orphan.start()
    assert reached.wait(10)
    for key in list(rows)[:10]:
        rows[key] = replace(rows[key], text="changed since")
    retry = Attempt(rows, target, ledger, versions=versions)
    retry.start()
    retry.join()
    assert retry.outcome is not None
    durable = ledger.record
    released.set()
    orphan.join()
    assert isinstance(orphan.error, Fenced)
    assert target.contents() == {key: row.document() for key, row in rows.items()}
    assert target.superseded > 0
    assert ledger.record == durable
    assert ledger.previous is not None
    assert ledger.previous.phase is Phase.COPIED


def test_an_orphan_repair_is_fenced_too() -> None:
    rows, ledger, versions = minutes(300), FakeLedger(), itertools.count(1)
    target = FakeTarget()
    first = Attempt(rows, target, ledger, versions=versions)
    first.start()
    first.join()
    for key in list(rows):
        rows[key] = replace(rows[key], text="changed")
    orphan = Attempt(rows, target, ledger, versions=versions)

    def take_over(place: str) -> None:
        if place == "checkpoint":
            ledger.begin()

    orphan.journal.hook = take_over
    orphan.start()
    orphan.join()
    assert isinstance(orphan.error, Fenced)
    retry = Attempt(rows, target, ledger, versions=versions)
    retry.start()
    retry.join()
    assert retry.outcome is not None
    assert retry.outcome.action in (Action.REPAIRED, Action.CURRENT)
    assert target.contents() == {key: row.document() for key, row in rows.items()}


@pytest.mark.parametrize("block", range(5))
def test_any_interleaving_of_two_attempts_ends_with_the_newest_content(block: int) -> None:
    for seed in range(block * 12, block * 12 + 12):
        interleave(random.Random(seed))


def interleave(rng: random.Random) -> None:
    """Start a second attempt somewhere inside the first, while rows change."""
    rows, ledger, versions = minutes(rng.choice([10, 60, 120])), FakeLedger(), itertools.count(1)
    rejects = frozenset(key for key in rows if rng.random() < 0.05)
    target = FakeTarget(rejects=rejects)
    order: list[int] = []
    ledger.on_checkpoint = lambda record: order.append(record.attempt)
    seconds = rng.choice([0, 1e9])
    older = Attempt(rows, target, ledger, versions=versions, checkpoint_seconds=seconds)
    begin_second = rng.randrange(1, 14)
    places = itertools.count(1)
    second: list[Attempt] = []

    def hook(place: str) -> None:
        if next(places) == begin_second:
            for key in rng.sample(list(rows), k=3):
                rows[key] = replace(rows[key], text="changed meanwhile")
            second.append(Attempt(rows, target, ledger, versions=versions))
            second[0].start()

    every = rng.randint(2, 5)

    def overtake(chunk: Chunk, stop: Stop) -> None:
        if chunk.sequence % every == 0:
            stop.wait(0.001, "the shuffle")

    target.on_write = overtake
    older.source.hook = hook
    older.start()
    older.join()
    newer = second[0]
    newer.join()
    assert newer.error is None
    assert isinstance(older.error, Fenced)
    assert order == sorted(order), "a fenced attempt wrote a checkpoint"
    # What changed behind the newer one's cursor is its next repair's business.
    last = Attempt(rows, target, ledger, versions=versions)
    last.start()
    last.join()
    assert last.error is None
    wanted = {key: row.document() for key, row in rows.items() if key not in rejects}
    assert target.contents() == wanted
    assert set(ledger.dead_letters) == rejects
    assert ledger.previous is not None
    assert ledger.previous.attempt >= newer.journal.attempt


def test_the_older_attempts_record_never_wins() -> None:
    """Task state may hold what an orphan kept there, further on than the ledger's record."""
    orphan = Checkpoint("u", "d", Phase.COPIED, 1, "", Cursor("t", "z"), Counters(900, 900))
    retry = Checkpoint("u", "d", Phase.COPYING, 2, "", Cursor("t", "b"), Counters(20, 20))
    assert newest([orphan, retry], unit="u", definition="d") is retry
