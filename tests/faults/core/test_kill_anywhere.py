"""Law 1: wherever it is killed, the checkpoint is behind what is safe, and resuming ends right.

Every case is an own seed: rows, chunks, rejections and the places of the faults follow from it.
A *kill* switches everything off at that point, as SIGKILL or a power cut would: nothing that the
attempt does afterwards, in whatever thread, reaches target or ledger. An *error* is raised once,
and the attempt may tidy up.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_logmigrate.core.backfill import Action, UnitOutcome, backfill_unit
from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Phase, newest
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    Interrupted,
    LedgerUnavailable,
    SourceUnavailable,
    TargetUnavailable,
    Transient,
)
from airflow_provider_logmigrate.core.plan import Estimate
from airflow_provider_logmigrate.core.ports import CopyLimits
from tests.unit.core.building import MONTH, FakeClock, Row, by_key, plan
from tests.unit.core.fakes import (
    FakeJournal,
    FakeLedger,
    FakeSource,
    FakeTarget,
    nothing_happens,
)


class Killed(BaseException):
    """The process is gone."""


class Faults:
    """Counts the places an attempt passes and strikes at one of them.

    :param kind: ``kill``, ``error`` or ``stop``.
    :param strike_at: the how manieth place; nothing happens if the attempt ends before.
    """

    def __init__(self, kind: str, stop: Stop, *, strike_at: int | None) -> None:
        self._kind = kind
        self._stop = stop
        self._left = strike_at
        self._lock = threading.Lock()
        self._dead = False
        self.struck = False

    def __call__(self, place: str) -> None:
        with self._lock:
            if self._dead:
                raise Killed
            if self._left is None:
                return
            self._left -= 1
            if self._left:
                return
            self._left = None
            self.struck = True
            if self._kind == "kill":
                self._dead = True
                raise Killed
        if self._kind == "stop":
            self._stop.set("SIGTERM")
        elif place in ("page", "row", "read ends", "source summary"):
            raise SourceUnavailable("gone", where=place)
        elif place in ("prepare", "write", "answer", "finish", "target summary"):
            raise TargetUnavailable("gone", where=place)
        else:
            raise LedgerUnavailable("gone", where=place)


class World:
    """A unit's source, target and ledger for one seed."""

    def __init__(self, seed: int, *, count: int | None = None) -> None:
        self.rng = rng = random.Random(seed)
        count = rng.choice([0, 1, 7, 40, 90]) if count is None else count
        # Few distinct times: the key decides within one, as it does for rows of one transaction.
        self.rows = [
            Row(
                f"k{rng.randrange(10**6):06d}-{n}",
                MONTH.start + timedelta(minutes=30 * rng.randrange(20)),
                f"text {n}",
                settled=rng.random() > 0.05,
                odd=rng.random() < 0.1,
            )
            for n in range(count)
        ]
        rejects = {row.key for row in self.rows if rng.random() < 0.05}
        self.ledger = FakeLedger(on_checkpoint=self.check)
        self.source = FakeSource(
            by_key(self.rows),
            chunk_rows=rng.randint(1, 9),
            cursor_every=rng.choice([1, 1, 2, 4]),
        )
        self.target = FakeTarget(rejects=frozenset(rejects))
        self.limits = CopyLimits(
            in_flight=rng.randint(1, 4),
            checkpoint_seconds=rng.choice([0.0, 3.0, 50.0]),
            progress_seconds=10,
            max_rejected_share=1,
        )
        estimate = Estimate(sum(row.settled for row in self.rows), 0, exact=True)
        self.plan = plan(estimate=estimate)
        self.attempts = 0
        self.struck = False

    def settled(self) -> list[Row]:
        return [row for row in self.source.rows_by_key.values() if row.settled]

    def check(self, record: Checkpoint) -> None:
        """No durable checkpoint is ahead of what is safe."""
        if record.phase is Phase.COPIED:
            passed = self.settled()
        else:
            assert record.cursor is not None
            reached = (record.cursor.event_time, record.cursor.key)
            passed = [row for row in self.settled() if (row.at.isoformat(), row.key) <= reached]
        held, dead = self.target.contents(), self.ledger.dead_letters
        kept = {finding.key for finding in self.ledger.findings}
        for row in passed:
            assert held.get(row.key) == row.document() or row.key in dead, row
            assert not row.odd or row.key in kept, row
        if record.phase is Phase.COPYING:
            counted = record.counters
            assert counted.documents + counted.rejected == counted.read >= len(passed)

    def attempt(self, *, strike_at: int | None) -> UnitOutcome | None:
        """One attempt; ``None`` if it was struck down."""
        self.attempts += 1
        stop = Stop()
        kind = self.rng.choice(["kill", "error", "stop"])
        faults = Faults(kind, stop, strike_at=strike_at)
        number, stored = self.ledger.begin()
        journal = FakeJournal(self.ledger, attempt=number, hook=faults)
        self.source.hook = self.target.hook = faults
        self.target.on_write = self._shuffle(self.rng.randrange(4))
        previous = newest([stored], unit=self.plan.key, definition=self.plan.definition)
        threads = set(threading.enumerate())
        try:
            return backfill_unit(
                source=self.source,
                target=self.target,
                journal=journal,
                plan=self.plan,
                previous=previous,
                settle_lag=timedelta(minutes=10),
                limits=self.limits,
                clock=FakeClock(step=0.5),
                stop=stop,
            )
        except (Killed, Interrupted, Transient):
            return None
        finally:
            self.struck = faults.struck
            assert set(threading.enumerate()) == threads

    def _shuffle(self, every: int) -> Callable[[Chunk, Stop], None]:
        """Lets some chunks be overtaken by their successors."""

        def on_write(chunk: Chunk, stop: Stop) -> None:
            if every and chunk.sequence % (every + 1) == every:
                stop.wait(0.002, "the shuffle")

        return on_write

    def assert_arrived(self) -> None:
        wanted = {row.key: row.document() for row in self.settled()}
        rejected = self.target.rejects & wanted.keys()
        assert set(self.ledger.dead_letters) == rejected
        assert self.target.contents() == {k: d for k, d in wanted.items() if k not in rejected}
        odd = {row.key for row in self.settled() if row.odd}
        assert {finding.key for finding in self.ledger.findings} == odd
        previous = self.ledger.previous
        assert previous is not None
        assert previous.phase is Phase.COPIED


@pytest.fixture(autouse=True)
def threads_take_turns_often() -> Iterator[None]:
    """Many more interleavings than with the usual 5 ms per turn."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("block", range(8))
def test_resumes_until_everything_arrived(block: int) -> None:
    for seed in range(block * 35, block * 35 + 35):
        world = World(seed)
        while world.attempts < 12:
            if world.attempt(strike_at=world.rng.randint(1, 120)) is not None:
                break
        world.attempt(strike_at=None)
        world.assert_arrived()


@pytest.mark.parametrize("seed", range(3))
def test_struck_at_every_single_place(seed: int) -> None:
    """Not at random: the same unit again and again, one place further each time."""
    for strike_at in range(1, 400):
        world = World(1000 + seed, count=25)
        world.rng = random.Random(strike_at)
        world.attempt(strike_at=strike_at)
        struck = world.struck
        world.attempt(strike_at=None)
        world.assert_arrived()
        if not struck:
            break
    assert strike_at > 40


@pytest.mark.parametrize("block", range(5))
def test_repairs_are_resumable_too(block: int) -> None:
    """Rows that change, come and get settled after the copy, with attempts struck down anywhere."""
    for seed in range(2000 + block * 14, 2000 + block * 14 + 14):
        world = World(seed)
        world.attempt(strike_at=None)
        for row in world.rows:
            chance = world.rng.random()
            if chance < 0.2:
                changed = replace(row, text="changed", settled=True)
                world.source.rows_by_key[row.key] = changed
        late = Row("late", MONTH.start + timedelta(hours=world.rng.randrange(700)), "came late")
        world.source.rows_by_key[late.key] = late
        world.ledger.on_checkpoint = lambda record: None  # the copy before is equal no more
        for _ in range(6):
            world.attempt(strike_at=world.rng.randint(1, 80))
        outcome = world.attempt(strike_at=None)
        assert outcome is not None
        world.assert_arrived()
        again = world.attempt(strike_at=None)
        assert again is not None
        expected = Action.REPAIRED if world.ledger.dead_letters else Action.CURRENT
        assert again.action is expected
        assert again.counters.rejected == len(world.ledger.dead_letters)


def test_a_kill_costs_no_more_than_what_was_not_in_the_checkpoint() -> None:
    """The retry goes on from the checkpoint, not from the start."""
    ledger, stop = FakeLedger(), Stop()
    faults = Faults("kill", stop, strike_at=300)
    some = by_key(Row(f"k{n:04d}", MONTH.start + timedelta(minutes=n)) for n in range(400))
    source, target = FakeSource(some, chunk_rows=5), FakeTarget(hook=faults)

    def attempt(journal: FakeJournal) -> UnitOutcome:
        return backfill_unit(
            source=source,
            target=target,
            journal=journal,
            plan=plan(),
            previous=ledger.previous,
            settle_lag=timedelta(0),
            limits=CopyLimits(in_flight=2, checkpoint_seconds=0),
            clock=FakeClock(),
            stop=stop,
        )

    with pytest.raises(Killed):
        attempt(FakeJournal(ledger, hook=faults))
    assert source.rows_read > 100
    target.hook = nothing_happens
    outcome = attempt(FakeJournal(ledger))
    assert outcome.action is Action.RESUMED
    # Two chunks in flight, two that wait, one being read, and one whose checkpoint was cut off.
    assert source.rows_read - 400 <= 5 * (2 * 2 + 2)
    assert outcome.counters.documents == 400
    assert outcome.written < 400
    assert set(target.documents) == set(some)
