"""The units of one part of a sweep: which of them are open, and what became of their rows."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from airflow_provider_logmigrate.core.checkpoint import Counters
from airflow_provider_logmigrate.core.errors import IndexConflict, TargetRefused
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.sweep import Place
from airflow_provider_logmigrate.core.sweep_ports import (
    MixedTarget,
    OpenUnit,
    PartJournal,
    PartRecord,
)


class SweptUnits:
    """The units that a part writes to, each opened with its first row.

    :param planned: the stream's units.
    """

    def __init__(
        self, planned: Sequence[UnitPlan], target: MixedTarget, journal: PartJournal
    ) -> None:
        self._planned = {(p.unit.tenant, p.unit.period.label): p for p in planned}
        self._target, self._journal = target, journal
        self._by_name: dict[tuple[str, str], OpenUnit] = {}
        self._opened: list[OpenUnit] = []

    def find(self, tenant: str, label: str) -> OpenUnit | None:
        """The unit of a tenant's period; called by the reader's thread only."""
        name = (tenant, label)
        found = self._by_name.get(name)
        if found is None and name in self._planned:
            found = self._by_name[name] = self._open(self._planned[name])
        return found

    def __getitem__(self, number: int) -> OpenUnit:
        return self._opened[number]

    def leave(self, unit: OpenUnit, reason: str) -> None:
        """Write no further row of this unit."""
        if not unit.left:
            unit.left = reason
            self._journal.leave(unit.plan, reason)

    def _open(self, plan: UnitPlan) -> OpenUnit:
        unit = OpenUnit(len(self._opened), plan, self._target.framing_of(plan))
        self._opened.append(unit)
        if not self._journal.open(plan):
            self.leave(unit, "a newer attempt copies it")
            return unit
        try:
            self._target.prepare(plan)
        except (IndexConflict, TargetRefused) as error:
            self.leave(unit, str(error))
        return unit


class Tally:
    """What became of each unit's rows, exactly up to a position.

    Results come in from the senders in any order; they count once the position is behind them.
    """

    def __init__(self, previous: PartRecord) -> None:
        self._units = dict(previous.units)
        self._skipped = Counter(previous.skipped)
        self._changed: set[str] = set()
        self._waiting: deque[tuple[Place, Mapping[str, Counters], Mapping[str, int]]] = deque()
        self._lock = threading.Lock()

    @property
    def skipped(self) -> Mapping[str, int]:
        """Rows passed over, by reason, as of the last checkpoint."""
        return dict(self._skipped)

    def add(self, place: Place, units: Mapping[str, Counters], skipped: Mapping[str, int]) -> None:
        """One chunk's result."""
        with self._lock:
            self._waiting.append((place, units, skipped))

    def up_to(self, place: Place) -> tuple[dict[str, Counters], dict[str, int]]:
        """(units, skipped): all that is counted now; of the units those that have changed."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
            for result in waiting:
                if result[0] > place:
                    self._waiting.append(result)
                    continue
                for unit, counted in result[1].items():
                    self._units[unit] = self._units.get(unit, Counters()) + counted
                    self._changed.add(unit)
                self._skipped.update(result[2])
            return {unit: self._units[unit] for unit in self._changed}, dict(self._skipped)

    def kept(self) -> None:
        """The changes are durable."""
        self._changed.clear()
