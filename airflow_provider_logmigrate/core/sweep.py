"""A sweep as data: which parts of which tables are read for all tenants at once, and into what.

For tables without a usable index one pass over the table in the order of its blocks costs what
reading a single unit would cost otherwise: a scan of everything. A part is a range of blocks of one
table (or partition); a place in it is safe to resume from because blocks don't move. Rows do:
a row that is updated goes to another place and may be missed. So a sweep proves nothing: each
tenant's backfill compares its units afterwards and copies what differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from airflow_provider_logmigrate.core.plan import ReadStrategy, UnitPlan, digest
from airflow_provider_logmigrate.core.unit import Granularity

BLOCK_BYTES = 8192
"""Size of a block of the usual PostgreSQL; another size only changes how parts are cut."""

SMALLEST_PART = 128
"""Blocks (1 MB): less than this isn't worth a part of its own."""

_PLACE = re.compile(r"\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a row lies: its block, and its line in that block, counted from 1.

    As a position of a sweep it means: everything up to and including this row is safe.
    """

    block: int
    line: int = 0

    def __str__(self) -> str:
        return f"({self.block},{self.line})"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Inverse of ``str``. :raises ValueError: not a place."""
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ValueError(f"not a row's place: {text!r}")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Relation:
    """A table that holds rows itself: a stream's table, or one partition of it.

    :param file: number of the file that holds the rows. It changes when the table is written anew
        (``VACUUM FULL``, ``CLUSTER``, ``TRUNCATE``), which moves every row.
    """

    schema: str
    name: str
    file: int
    blocks: int

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Part:
    """A range of blocks of one relation, half-open, that one lane reads from end to end.

    :param number: position in the sweep's plan.
    """

    number: int
    lane: int
    stream: str
    relation: Relation
    first: int
    end: int

    @property
    def key(self) -> str:
        """What messages and progress call it."""
        return f"{self.stream}: {self.relation} blocks {self.first:,} to {self.end:,}"

    @property
    def start(self) -> Place:
        """The position before anything was read."""
        return Place(self.first)


@dataclass(frozen=True, slots=True)
class SweptStream:
    """One stream of a sweep.

    :param reason: why it is swept.
    :param rows: settled rows of the units, counted when the plan was made.
    :param body: mapping and settings of the units' indices, the same for all.
    """

    name: str
    reason: str
    definition: str
    rows: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What one sweep reads and where it puts it.

    :param first, end: half-open range of event time that the migration wants.
    :param ripe: event time up to which rows are taken: younger ones may still be committed behind
        the sweep. Fixed here, so that all parts agree.
    :param tenants: of the migration, for which units are swept.
    :param units: with rows when the plan was made, or with rows that are held back. A unit that
        comes into being later is left to its tenant's own backfill.
    """

    migration: str
    granularity: Granularity
    first: datetime
    end: datetime
    ripe: datetime
    tenants: tuple[str, ...]
    streams: tuple[SweptStream, ...]
    units: tuple[UnitPlan, ...]
    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 over what decides where rows come from and go to."""
        return digest(
            {
                "migration": self.migration,
                "ripe": self.ripe.isoformat(),
                "units": [unit.material() for unit in self.units],
                "parts": [_part_json(part) for part in self.parts],
            }
        )

    def stream(self, name: str) -> SweptStream:
        """One stream. :raises KeyError: it isn't swept."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)

    def units_of(self, stream: str) -> tuple[UnitPlan, ...]:
        """A stream's units."""
        return tuple(unit for unit in self.units if unit.unit.stream == stream)

    def lanes(self) -> list[list[int]]:
        """Numbers of the parts of each lane, in the order in which they are read."""
        lanes: dict[int, list[int]] = {}
        for part in self.parts:
            lanes.setdefault(part.lane, []).append(part.number)
        return [lanes[number] for number in sorted(lanes)]

    def rows_of(self, part: Part) -> int:
        """About how many rows of its stream a part holds, by its share of the blocks."""
        blocks = sum(p.end - p.first for p in self.parts if p.stream == part.stream)
        return self.stream(part.stream).rows * (part.end - part.first) // max(1, blocks)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger; a stream's body stands there once."""
        return {
            "migration": self.migration,
            "granularity": self.granularity.value,
            "first": self.first.isoformat(),
            "end": self.end.isoformat(),
            "ripe": self.ripe.isoformat(),
            "tenants": list(self.tenants),
            "streams": [asdict(stream) for stream in self.streams],
            "units": [unit.to_json() | {"body": None} for unit in self.units],
            "parts": [_part_json(part) for part in self.parts],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SweepPlan:
        """Inverse of :meth:`to_json`."""
        streams = tuple(SweptStream(**stream) for stream in record["streams"])
        bodies = {stream.name: stream.body for stream in streams}
        units = (UnitPlan.from_json({**unit, "body": {}}) for unit in record["units"])
        return cls(
            migration=record["migration"],
            granularity=Granularity(record["granularity"]),
            first=datetime.fromisoformat(record["first"]),
            end=datetime.fromisoformat(record["end"]),
            ripe=datetime.fromisoformat(record["ripe"]),
            tenants=tuple(record["tenants"]),
            streams=streams,
            units=tuple(replace(unit, body=bodies[unit.unit.stream]) for unit in units),
            parts=tuple(
                Part(**{**part, "relation": Relation(**part["relation"])})
                for part in record["parts"]
            ),
            warnings=tuple(record["warnings"]),
        )


def _part_json(part: Part) -> dict[str, Any]:
    return asdict(part)


def cut_parts(relations: Sequence[tuple[str, Relation]], *, lanes: int) -> tuple[Part, ...]:
    """Deal the blocks of all tables out to lanes, each lane the same number of blocks, about.

    Each lane gets runs of neighbouring blocks: rows lie mostly in the order of time, so a lane
    writes to few months at a time. Deterministic; empty tables have no part.

    :param relations: (stream, relation), in the order in which they are to be read.
    """
    total = sum(relation.blocks for _, relation in relations)
    share = max(SMALLEST_PART, -(-total // max(1, lanes)))
    parts: list[Part] = []
    lane, room = 0, share
    for stream, relation in relations:
        first = 0
        while first < relation.blocks:
            if room <= 0 and lane + 1 < lanes:
                lane, room = lane + 1, share
            last_lane = lane + 1 >= lanes
            end = relation.blocks if last_lane else min(relation.blocks, first + room)
            if relation.blocks - end < SMALLEST_PART:
                end = relation.blocks
            parts.append(Part(len(parts), lane, stream, relation, first, end))
            room -= end - first
            first = end
    return tuple(parts)


def swept_streams(
    chosen: Mapping[str, ReadStrategy], forced: Mapping[str, ReadStrategy], *, tenants: int
) -> dict[str, str]:
    """Which streams a sweep reads, and why.

    :param chosen: each stream's read strategy as preflight has it.
    :param forced: strategies that the configuration forces.
    :param tenants: of the migration; for a single one a sweep saves nothing.
    """
    found = {}
    for name, strategy in chosen.items():
        if strategy is ReadStrategy.SWEEP:
            found[name] = "forced by the configuration"
        elif strategy is ReadStrategy.BY_KEY and name not in forced and tenants > 1:
            found[name] = (
                f"no usable index: one pass serves all {tenants} tenants, which would need a scan"
                " for each unit otherwise"
            )
    return found
