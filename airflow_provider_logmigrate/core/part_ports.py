"""A part of a sweep in the place of a unit: the copy loop's source, target and journal for it.

The loop knows one unit. Here each document has its own: what becomes of it is counted there, and
what concerns one unit ends the sweep of that unit, never that of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import NoReturn

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.core.plan import Estimate, ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.ports import (
    Framing,
    ReadRequest,
    Rejected,
    SourceFinding,
    WriteResult,
)
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.core.sweep import Part, Place, SweepPlan
from airflow_provider_logmigrate.core.sweep_ports import (
    MixedChunk,
    MixedTarget,
    OpenUnit,
    PartJournal,
    PartRecord,
    PartSource,
    UnitFinding,
)
from airflow_provider_logmigrate.core.sweep_units import SweptUnits, Tally
from airflow_provider_logmigrate.core.unit import Period, Unit

_PLACE = "place"
"""Marks cursors that are places of rows."""


@dataclass(frozen=True, slots=True)
class _PartPlan(UnitPlan):
    """A part in the place of a unit, which it is for the copy loop: a name and a size."""

    name: str = ""

    @property
    def key(self) -> str:
        """What messages and progress call the part."""
        return self.name


def stand_in(plan: SweepPlan, part: Part) -> UnitPlan:
    """The plan of a part, as if it were a unit's."""
    return _PartPlan(
        unit=Unit(part.stream, f"{len(plan.tenants)} tenants", Period(plan.first, plan.end)),
        alias="",
        tenant_alias="",
        index=f"an index that {part.key} writes to",
        definition=plan.stream(part.stream).definition,
        strategy=ReadStrategy.SWEEP,
        strategy_reason="",
        estimate=Estimate(plan.rows_of(part), 0, exact=False),
        name=part.key,
    )


def cursor_of(place: Place) -> Cursor:
    """A place as the copy loop's cursor."""
    return Cursor(_PLACE, str(place))


@dataclass(frozen=True, slots=True)
class _UnitRejected(Rejected):
    """A rejected document with its unit."""

    unit: OpenUnit


class PartReading:
    """The part as the copy loop's source."""

    def __init__(
        self, source: PartSource, plan: SweepPlan, part: Part, after: Place, units: SweptUnits
    ) -> None:
        self._source, self._plan, self._part = source, plan, part
        self._after, self._units = after, units

    def read(
        self,
        request: ReadRequest,
        *,
        framing: Framing,  # noqa: ARG002 - each unit has its own
        emit: Callable[[Chunk], None],
        report: Callable[[SourceFinding], None],
        stop: Stop,
    ) -> None:
        """See :meth:`PartSource.read_part`."""
        self._source.read_part(
            self._plan,
            self._part,
            after=self._after,
            find=self._units.find,
            emit=emit,
            report=report,
            stop=stop,
            chunk_bytes=request.chunk_bytes or _no_pace,
            before_page=request.before_page or _no_pace,
        )


def _no_pace() -> NoReturn:
    raise AssertionError("a sweep's pace is the copy loop's")


class PartWriting:
    """The units' indices as the copy loop's target."""

    def __init__(self, target: MixedTarget, units: SweptUnits, tally: Tally) -> None:
        self._target, self._units, self._tally = target, units, tally

    def prefix(self, version: int) -> bytes:  # noqa: ARG002
        """Not used: each unit has its own framing."""
        return b""

    def prepare(self, plan: UnitPlan) -> None:
        """Nothing: each unit is prepared when its first row comes."""

    def finish(self, plan: UnitPlan) -> None:
        """Nothing: other parts may still write to the same indices."""

    def write(self, plan: UnitPlan, chunk: Chunk, *, stop: Stop) -> WriteResult:  # noqa: ARG002
        """Write the chunk and count what became of each unit's documents."""
        if not isinstance(chunk, MixedChunk) or chunk.cursor is None:
            raise AssertionError("a part's chunks name each document's unit and their own place")
        result = self._target.write_mixed(chunk, stop=stop) if chunk.count else WriteResult(0)
        rejected = tuple(self._with_units(chunk, result.rejected))
        refused = Counter(item.unit.number for item in rejected)
        counted = {
            self._units[number].plan.key: Counters(
                rows, rows - refused[number], refused[number], size
            )
            for number, (rows, size) in _by_unit(chunk).items()
        }
        self._tally.add(Place.parse(chunk.cursor.key), counted, chunk.skipped)
        return replace(result, rejected=rejected)

    def _with_units(
        self, chunk: MixedChunk, rejected: Sequence[Rejected]
    ) -> Iterator[_UnitRejected]:
        """Find each rejected document's unit.

        By its bytes, not by its key alone, which two tenants may share: a document holds its
        tenant and event time, so equal documents are of one unit.
        """
        wanted: dict[str, list[Rejected]] = {}
        for item in rejected:
            wanted.setdefault(item.key, []).append(item)
        for position, key in enumerate(chunk.keys if wanted else ()):
            for item in wanted.get(key, ()):
                if chunk.document(position).removesuffix(b"\n").endswith(b"\n" + item.document):
                    wanted[key].remove(item)
                    yield _UnitRejected(
                        *(item.key, item.status, item.kind, item.reason, item.document),
                        unit=self._units[chunk.units[position]],
                    )
                    break
        if any(wanted.values()):
            raise AssertionError("the target rejected a document that wasn't in its chunk")


def _by_unit(chunk: MixedChunk) -> dict[int, list[int]]:
    """Unit number -> [documents, bytes]."""
    counted: dict[int, list[int]] = {}
    ends = [*chunk.offsets[1:], len(chunk.body)] if chunk.count else []
    for number, start, end in zip(chunk.units, chunk.offsets, ends, strict=True):
        entry = counted.setdefault(number, [0, 0])
        entry[0] += 1
        entry[1] += end - start
    return counted


class PartKeeping:
    """The sweep's journal as the copy loop's."""

    def __init__(
        self,
        journal: PartJournal,
        part: Part,
        units: SweptUnits,
        tally: Tally,
        *,
        max_rejected: int,
    ) -> None:
        self._journal, self._part, self._units, self._tally = journal, part, units, tally
        self._max_rejected = max_rejected
        self._rejected: Counter[int] = Counter()

    def dead_letters(self, plan: UnitPlan, rejected: Sequence[Rejected]) -> None:  # noqa: ARG002
        """Each document to its own unit's dead letters."""
        for unit, items in _grouped(rejected):
            self._for_unit(unit, partial(self._journal.dead_letters, unit.plan, items))
            self._rejected[unit.number] += len(items)
            if self._rejected[unit.number] > self._max_rejected:
                count = self._rejected[unit.number]
                self._units.leave(unit, f"{count:,} of its documents were rejected")

    def findings(self, plan: UnitPlan, found: Sequence[SourceFinding]) -> None:  # noqa: ARG002
        """Each finding to its own unit."""
        for unit, items in _grouped(found):
            self._for_unit(unit, partial(self._journal.findings, unit.plan, items))

    def checkpoint(
        self,
        plan: UnitPlan,  # noqa: ARG002
        *,
        cursor: Cursor | None,
        counters: Counters,
        upper: datetime,  # noqa: ARG002
        copied: bool,
    ) -> None:
        """The part's position, and the counts of the units up to there."""
        place = Place.parse(cursor.key) if cursor else self._part.start
        units, skipped = self._tally.up_to(place)
        self._journal.checkpoint(PartRecord(place, counters, skipped, units), swept=copied)
        self._tally.kept()

    def progress(self, progress: Progress) -> None:
        """As it is."""
        self._journal.progress(progress)

    def _for_unit(self, unit: OpenUnit, work: Callable[[], None]) -> None:
        if unit.left:
            return
        try:
            work()
        except Fenced as error:
            # Of this unit only; if the part is lost too, the next checkpoint says so.
            self._units.leave(unit, str(error))


def _grouped(items: Sequence[object]) -> Iterator[tuple[OpenUnit, list]]:  # type: ignore[type-arg]
    grouped: dict[int, tuple[OpenUnit, list]] = {}  # type: ignore[type-arg]
    for item in items:
        if not isinstance(item, _UnitRejected | UnitFinding):
            raise AssertionError(f"{item!r} belongs to no unit")
        grouped.setdefault(item.unit.number, (item.unit, []))[1].append(item)
    yield from grouped.values()
