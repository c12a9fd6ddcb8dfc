"""What a sweep needs of a source, a target and a journal, beyond what copying a unit needs."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_logmigrate.core.checkpoint import Counters
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Framing, Rejected, SourceFinding, WriteResult
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.core.sweep import Part, Place, SweepPlan


@dataclass(slots=True, eq=False)
class OpenUnit:
    """A unit that a part has met a row of.

    :param number: its position among the part's open units, as chunks name it.
    :param framing: how the target wants this unit's documents framed.
    :param left: why no further row is written for it; empty while it is swept.
    """

    number: int
    plan: UnitPlan
    framing: Framing
    left: str = ""


Find = Callable[[str, str], OpenUnit | None]
"""(tenant, label of the period) -> the unit, opened with its first row; ``None``: not planned."""


@dataclass(frozen=True, slots=True)
class MixedChunk(Chunk):
    """Documents of many units.

    :param units: number of each document's unit.
    :param skipped: rows passed over since the chunk before, by reason.
    """

    units: array[int] = field(default_factory=lambda: array("I"))
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnitFinding(SourceFinding):
    """A finding about a row, with the unit it belongs to."""

    unit: OpenUnit


@dataclass(frozen=True, slots=True)
class PartRecord:
    """How far a part is: what its last checkpoint says.

    :param skipped: rows that belong to no unit of the sweep, by reason.
    :param units: what became of each unit's rows in this part, by unit key.
    """

    place: Place
    counters: Counters = field(default_factory=Counters)
    skipped: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, Counters] = field(default_factory=dict)


class PartSource(Protocol):
    """A store whose tables can be read in the order of their blocks."""

    def read_part(
        self,
        plan: SweepPlan,
        part: Part,
        *,
        after: Place,
        find: Find,
        emit: Callable[[MixedChunk], None],
        report: Callable[[UnitFinding], None],
        stop: Stop,
        chunk_bytes: Callable[[], int],
        before_page: Callable[[], None],
    ) -> None:
        """Push the rows behind ``after`` in the order of their places, each with its unit.

        Each chunk's cursor is the place of its last row, or one behind it, up to which all rows
        were met. No transaction outlives a page. Returns only when everything was emitted.

        :raises PlanUnusable: the table was written anew since the plan was made.
        :raises SourceUnavailable: an outage, after bounded retries.
        """


class MixedTarget(Protocol):
    """A store that takes documents of many units in one request."""

    def framing_of(self, plan: UnitPlan) -> Framing:
        """Frames documents so that each says where it belongs."""

    def prepare(self, plan: UnitPlan) -> None:
        """See :class:`~airflow_provider_logmigrate.core.ports.Target`."""

    def write_mixed(self, chunk: Chunk, *, stop: Stop) -> WriteResult:
        """Write one chunk whose documents say themselves where they belong. Idempotent."""

    def finish(self, plan: UnitPlan) -> None:
        """See :class:`~airflow_provider_logmigrate.core.ports.Target`."""


class PartJournal(Protocol):
    """Where one attempt at a part keeps what must survive it."""

    def open(self, plan: UnitPlan) -> bool:
        """Note that the sweep writes to the unit, and take the unit over; durable on return.

        :returns: False if a newer attempt has the unit, which then takes care of all its rows.
        :raises Fenced: a newer attempt has the part.
        """

    def leave(self, plan: UnitPlan, reason: str) -> None:
        """Note that the unit isn't swept to its end; its tenant's backfill copies it."""

    def dead_letters(self, plan: UnitPlan, rejected: Sequence[Rejected]) -> None:
        """Keep a unit's rejected documents. :raises Fenced: a newer attempt has the unit."""

    def findings(self, plan: UnitPlan, found: Sequence[SourceFinding]) -> None:
        """Keep findings about a unit's rows. :raises Fenced: a newer attempt has the unit."""

    def checkpoint(self, record: PartRecord, *, swept: bool) -> None:
        """Keep the position; durable on return.

        :param record: ``units`` holds those that have changed since the last call.
        :param swept: the part was read to its end.
        :raises Fenced: a newer attempt has the part.
        """

    def progress(self, progress: Progress) -> None:
        """Show the state to people. :raises Fenced: a newer attempt has the part."""
