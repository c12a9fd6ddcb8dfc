"""Wherever a sweep is killed, its position is behind what is safe, and resuming ends right."""

from __future__ import annotations

import random
import threading

import pytest

from airflow_provider_logmigrate.core.checkpoint import Counters
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    Interrupted,
    LedgerUnavailable,
    SourceUnavailable,
    TargetUnavailable,
    Transient,
)
from airflow_provider_logmigrate.core.ports import CopyLimits
from airflow_provider_logmigrate.core.sweep import Place
from airflow_provider_logmigrate.core.sweep_copy import PartOutcome, sweep_part
from airflow_provider_logmigrate.core.sweep_ports import PartRecord
from tests.unit.core.building import FakeClock, plan
from tests.unit.core.fakes import nothing_happens
from tests.unit.core.sweeping import (
    FakeMixedTarget,
    FakePartJournal,
    FakePartSource,
    FakeSweepLedger,
    documents,
    sweep_plan,
    table,
)

SEEDS = range(120)


class Killed(BaseException):
    """The process is gone."""


class Faults:
    """Strikes at one of the places that an attempt passes; see test_kill_anywhere."""

    def __init__(self, kind: str, stop: Stop, strike_at: int | None) -> None:
        self._kind, self._stop, self._left = kind, stop, strike_at
        self._lock = threading.Lock()
        self._dead = False

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
            if self._kind == "kill":
                self._dead = True
                raise Killed
        if self._kind == "stop":
            self._stop.set("SIGTERM")
        elif place in ("row", "read ends"):
            raise SourceUnavailable("gone", where=place)
        elif place in ("prepare", "write", "answer"):
            raise TargetUnavailable("gone", where=place)
        else:
            raise LedgerUnavailable("gone", where=place)


class World:
    """A part's source, target and ledger for one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        several: list[list[str | None]] = [["a"], ["a", "b", None], ["a", "b", "c", None, None]]
        tenants = rng.choice(several)
        self.rows = table(
            rng.choice([0, 1, 17, 60]), tenants=tenants, rows_per_block=rng.randint(1, 5)
        )
        rejects = frozenset(row.key for row in self.rows if rng.random() < 0.05)
        self.plan = sweep_plan("a", "b", "c", blocks=70)
        self.part = self.plan.parts[0]
        self.source = FakePartSource(self.rows, chunk_rows=rng.randint(1, 7))
        self.target = FakeMixedTarget(rejects=rejects)
        self.ledger = FakeSweepLedger(self.part.start, on_checkpoint=self.check)
        self.limits = CopyLimits(
            in_flight=rng.randint(1, 3),
            checkpoint_seconds=rng.choice([0.0, 3.0]),
            progress_seconds=10,
            max_rejected_share=1,
        )

    def check(self, record: PartRecord) -> None:
        """Everything before the position is safe, and the counts say exactly that."""
        passed = [row for row in self.rows if row.place <= record.place]
        held, letters = set(documents(self.target)), set(self.ledger.letters)
        by_unit: dict[str, int] = {}
        for row in passed:
            if row.tenant is None:
                continue
            of = plan(row.tenant)
            assert (of.index, row.key) in held or (of.key, row.key) in letters, row
            by_unit[of.key] = by_unit.get(of.key, 0) + 1
        assert {unit: c.read for unit, c in record.units.items()} == by_unit
        total = sum(record.units.values(), Counters())
        assert total == record.counters
        assert total.documents + total.rejected == total.read
        others = sum(row.tenant is None for row in passed)
        assert record.skipped.get("other_tenant", 0) == others

    def attempt(self, strike_at: int | None) -> PartOutcome | None:
        stop = Stop()
        faults = Faults(self.rng.choice(["kill", "error", "stop"]), stop, strike_at)
        journal = FakePartJournal(self.ledger, hook=faults)
        self.source.hook = self.target.hook = faults
        try:
            return sweep_part(
                source=self.source,
                target=self.target,
                journal=journal,
                plan=self.plan,
                part=self.part,
                previous=self.ledger.previous,
                limits=self.limits,
                clock=FakeClock(step=0.5),
                stop=stop,
            )
        except (Killed, Interrupted, Transient):
            return None
        finally:
            self.source.hook = self.target.hook = nothing_happens


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_again_and_again_it_ends_with_everything_once(seed: int) -> None:
    world = World(seed)
    for _ in range(5):
        if world.attempt(world.rng.randint(1, 60)) is not None:
            break
    outcome = world.attempt(None)

    assert outcome is not None
    assert world.ledger.swept
    assert world.ledger.previous.place == Place(world.part.end)
    held, letters = set(documents(world.target)), set(world.ledger.letters)
    wanted = {(row.tenant, row.key) for row in world.rows if row.tenant}
    rejects = world.target.rejects
    assert held == {(plan(name).index, key) for name, key in wanted if key not in rejects}
    assert letters == {(plan(name).key, key) for name, key in wanted if key in rejects}
    assert world.ledger.opened == {plan(name).key for name, _ in wanted}
    assert outcome.counters.read == len(wanted)
