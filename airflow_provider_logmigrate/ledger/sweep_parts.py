"""The parts of sweeps: how far each is, and what became of each unit's rows in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.checkpoint import Counters
from airflow_provider_logmigrate.core.errors import Fenced, PlanUnusable
from airflow_provider_logmigrate.core.sweep import Part, Place
from airflow_provider_logmigrate.core.sweep_ports import PartRecord
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.sweeps import ANEW
from airflow_provider_logmigrate.ledger.text import cut, storable, storable_json

_COUNTERS = ("rows_read", "documents", "rejected", "bytes")


@dataclass(frozen=True, slots=True)
class PartState:
    """How a part stands.

    :param record: its last checkpoint, without what became of single units.
    """

    part: int
    swept: bool
    attempt: int
    holder: str
    record: PartRecord


@dataclass(frozen=True, slots=True)
class UnitTally:
    """What became of a unit's rows, over all parts.

    :param left: why a part left the unit to its tenant's own backfill; empty if none did.
    """

    counters: Counters
    left: str = ""


class SweepParts:
    """Keeps the parts' positions and counts, each written by the one attempt that holds the part.

    In all calls ``number`` is the sweep's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, number: int, part: Part, *, attempt: int, holder: str) -> PartState:
        """Take a part over for ``attempt``; where it stands, with what became of its units.

        Compare-and-set: the highest attempt wins whatever the order of the calls.

        :raises Fenced: a newer attempt has the part.
        """

        def work(connection: Connection) -> PartState:
            row = self._held(connection, number, part)
            if row["attempt"] > attempt:
                raise _fenced(part, attempt, row)
            connection.execute(
                update(tables.sweep_part)
                .where(*_this(number, part))
                .values(attempt=attempt, holder=storable(holder), updated_at=func.now())
            )
            unit = tables.sweep_unit
            tallies = connection.execute(
                select(unit).where(unit.c.sweep == number, unit.c.part == part.number)
            ).mappings()
            return _state(row, {row["unit"]: _counters(dict(row)) for row in tallies})

        return self._database.transact(work)

    def open_unit(self, number: int, part: Part, unit: str, *, attempt: int) -> None:
        """Note that a part writes to a unit, before it does. Idempotent.

        :raises Fenced: a newer attempt has the part.
        """
        self._write(number, part, attempt, lambda c: self._put(c, number, part, [{"unit": unit}]))

    def leave_unit(self, number: int, part: Part, unit: str, reason: str, *, attempt: int) -> None:
        """Note that a part doesn't write a unit's rows (any more). Idempotent.

        :raises Fenced: a newer attempt has the part.
        """
        values = [{"unit": unit, "left_because": cut(reason)}]
        self._write(number, part, attempt, lambda c: self._put(c, number, part, values))

    def checkpoint(
        self, number: int, part: Part, record: PartRecord, *, swept: bool, attempt: int
    ) -> None:
        """Keep a part's position and counts; durable on return.

        :param record: with those of the units that have changed.
        :raises Fenced: a newer attempt has the part.
        """
        units = [
            {"unit": unit} | _columns(counters)
            # In one order, whoever writes: two attempts at a part would deadlock otherwise.
            for unit, counters in sorted(record.units.items())
        ]
        position = {
            "next_block": record.place.block,
            "next_line": record.place.line,
            "phase": "swept" if swept else "sweeping",
            "skipped": storable_json(dict(record.skipped)),
        }

        def work(connection: Connection) -> None:
            connection.execute(
                update(tables.sweep_part)
                .where(*_this(number, part))
                .values(**position, **_columns(record.counters), updated_at=func.now())
            )
            if units:
                self._put(connection, number, part, units)

        self._write(number, part, attempt, work)

    def check(self, number: int, part: Part, *, attempt: int) -> None:
        """:raises Fenced: ``attempt`` doesn't hold the part any more."""
        self._write(number, part, attempt, lambda _: None)

    def list(self, number: int) -> list[PartState]:
        """How the parts stand, in their order."""
        table = tables.sweep_part
        query = select(table).where(table.c.sweep == number).order_by(table.c.part)
        rows = self._database.transact(lambda c: c.execute(query).mappings().all())
        return [_state(dict(row), {}) for row in rows]

    def units(self, number: int) -> dict[str, UnitTally]:
        """What became of the units that were written to or left, by key."""
        table = tables.sweep_unit
        query = (
            select(
                table.c.unit,
                *(func.sum(table.c[name]).label(name) for name in _COUNTERS),
                func.max(table.c.left_because).label("left_because"),
            )
            .where(table.c.sweep == number)
            .group_by(table.c.unit)
        )
        rows = self._database.transact(lambda c: c.execute(query).mappings().all())
        return {
            row["unit"]: UnitTally(_counters(dict(row)), row["left_because"] or "") for row in rows
        }

    def _put(
        self, connection: Connection, number: int, part: Part, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        base = {"sweep": number, "part": part.number, "who": storable(self._database.who)}
        statement = insert(tables.sweep_unit)
        changed = {name: statement.excluded[name] for name in rows[0] if name != "unit"}
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["sweep", "part", "unit"], set_=changed | {"updated_at": func.now()}
            ),
            [{**base, **row} for row in rows],
        )

    def _write(
        self, number: int, part: Part, attempt: int, work: Callable[[Connection], None]
    ) -> None:
        def fenced(connection: Connection) -> None:
            row = self._held(connection, number, part)
            if row["attempt"] != attempt:
                raise _fenced(part, attempt, row)
            work(connection)

        self._database.transact(fenced)

    def _held(self, connection: Connection, number: int, part: Part) -> Mapping[str, Any]:
        query = select(tables.sweep_part).where(*_this(number, part)).with_for_update()
        row = connection.execute(query).mappings().first()
        if row is None:
            raise PlanUnusable(
                "the ledger has no such part", where=f"sweep {number}, {part.key}", next_step=ANEW
            )
        return dict(row)


def _this(number: int, part: Part) -> tuple[Any, ...]:
    table = tables.sweep_part
    return (table.c.sweep == number, table.c.part == part.number)


def _state(row: Mapping[str, Any], units: Mapping[str, Counters]) -> PartState:
    place = Place(row["next_block"], row["next_line"])
    return PartState(
        part=row["part"],
        swept=row["phase"] == "swept",
        attempt=row["attempt"],
        holder=row["holder"],
        record=PartRecord(place, _counters(row), row["skipped"], units),
    )


def _counters(row: Mapping[str, Any]) -> Counters:
    return Counters(*(int(row[name]) for name in _COUNTERS))


def _columns(counters: Counters) -> dict[str, int]:
    values = (counters.read, counters.documents, counters.rejected, counters.bytes)
    return dict(zip(_COUNTERS, values, strict=True))


def _fenced(part: Part, attempt: int, row: Mapping[str, Any]) -> Fenced:
    return Fenced(
        f"attempt {attempt} was taken over by attempt {row['attempt']} ({row['holder']})",
        where=part.key,
        attempt=attempt,
        stored=row["attempt"],
        holder=row["holder"],
    )
