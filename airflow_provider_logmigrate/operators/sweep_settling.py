"""The end of a sweep: indices get their serving settings, and units count as copied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Phase
from airflow_provider_logmigrate.core.errors import (
    Fenced,
    IndexConflict,
    NothingCopied,
    TargetRefused,
)

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.core.sweep import SweepPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger

FINISH_AT_ONCE = 4
"""Indices given their serving settings at the same time: each takes a few calls that wait."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What a sweep did to one stream.

    :param expected: settled rows counted when it was planned.
    :param skipped: rows passed over, by reason.
    :param units: marked as copied.
    :param left: unit -> why its tenant's own backfill copies it.
    :param unswept: parts that weren't read to their end; then no unit is marked.
    """

    stream: str
    expected: int
    counters: Counters
    skipped: Mapping[str, int]
    units: int = 0
    left: Mapping[str, str] = field(default_factory=dict)
    unswept: int = 0

    @property
    def nothing_copied(self) -> bool:
        """True if rows were expected, everything was read, and not one came."""
        moved = self.counters.documents + self.counters.rejected
        return bool(self.expected and not self.unswept and not moved)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "stream": self.stream,
            "expected": self.expected,
            "documents": self.counters.documents,
            "rejected": self.counters.rejected,
            "bytes": self.counters.bytes,
            "skipped": dict(self.skipped),
            "units": self.units,
            "left": len(self.left),
            "unswept": self.unswept,
        }


def settle(
    bench: Workbench, ledger: Ledger, *, number: int, holder: str, stop: Stop
) -> list[StreamReport]:
    """Finish every index that the sweep wrote to, and mark the units of streams that are done.

    Indices are finished whatever happened to the parts, so a broken sweep leaves none with the
    settings of a load. Idempotent. A unit that a newer attempt holds is that attempt's business.

    :raises NothingCopied: a stream had rows, and not one was copied; its units aren't marked.
    """
    work = _Settling(bench, ledger, number=number, holder=holder, stop=stop)
    reports = [work.stream(stream.name) for stream in work.plan.streams]
    for report in reports:
        if report.nothing_copied:
            raise NothingCopied(
                f"0 of {report.expected:,} rows were copied",
                where=f"sweep {number}, {report.stream}",
                expected=report.expected,
            )
    if not any(report.unswept for report in reports):
        ledger.sweeps.settled(number)
    return reports


class _Settling:
    """One attempt to settle a sweep, and what the ledger knows of it."""

    def __init__(
        self, bench: Workbench, ledger: Ledger, *, number: int, holder: str, stop: Stop
    ) -> None:
        self._bench, self._ledger, self._stop = bench, ledger, stop
        self._number, self._holder = number, holder
        self.plan: SweepPlan = ledger.sweeps.load(number)
        self._parts = {state.part: state for state in ledger.sweep_parts.list(number)}
        self._tallies = ledger.sweep_parts.units(number)

    def stream(self, name: str) -> StreamReport:
        """Settle one stream's units, several at a time."""
        parts = [self._parts[part.number] for part in self.plan.parts if part.stream == name]
        units = self.plan.units_of(name)
        report = StreamReport(
            stream=name,
            expected=self.plan.stream(name).rows,
            counters=sum((part.record.counters for part in parts), Counters()),
            skipped=_sum_of(part.record.skipped for part in parts),
            unswept=sum(not part.swept for part in parts),
        )
        done = not (report.unswept or report.nothing_copied)
        with ThreadPoolExecutor(FINISH_AT_ONCE) as pool:
            found = pool.map(lambda unit: self._unit(unit, done=done), units)
            left = {unit.key: why for unit, why in zip(units, found, strict=True) if why}
        return replace(report, left=left, units=len(units) - len(left) if done else 0)

    def _unit(self, unit: UnitPlan, *, done: bool) -> str:
        """Settle one unit; why it is left to its tenant's backfill, if it is."""
        self._stop.check(unit.key)
        tally = self._tallies.get(unit.key)
        left = tally.left if tally else ""
        mark = done and not left
        try:
            if mark:
                self._ledger.units.claim(
                    self.plan.migration, unit, attempt=self._number, holder=self._holder
                )
            elif tally is None:
                return ""
            else:
                self._ledger.units.check(self.plan.migration, unit.key, attempt=self._number)
            if tally is None:
                self._bench.target.prepare(unit)  # its rows are all held back, or gone
            self._bench.target.finish(unit)
            if mark:
                self._mark(unit, tally.counters if tally else Counters())
        except (Fenced, IndexConflict, TargetRefused) as error:
            return left or str(error)
        return left

    def _mark(self, unit: UnitPlan, counters: Counters) -> None:
        """The unit is copied, as far as a sweep can tell: its backfill compares all the same."""
        self._ledger.units.checkpoint(
            self.plan.migration,
            Checkpoint(
                unit=unit.key,
                definition=unit.definition,
                phase=Phase.COPIED,
                attempt=self._number,
                upper=min(unit.unit.period.end, self.plan.ripe).isoformat(),
                counters=counters,
            ),
        )


def _sum_of(counted: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for some in counted:
        total.update(some)
    return dict(total)
