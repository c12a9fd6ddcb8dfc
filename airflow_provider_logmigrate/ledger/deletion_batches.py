"""How a batch of deleted rows stands in the ledger, and how it changes its state."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, text, update

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.purge_ports import Batch, Member, Removal, StoredObject
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.ledger.schema import tables

INTENDED, DELETED, RESTORED, PENDING = "intended", "deleted", "restored", "pending"


def load(connection: Connection, number: int) -> Batch:
    """One batch. :raises PlanUnusable: there is no such batch."""
    table, objects = tables.deletion_batch, tables.deletion_object
    row = connection.execute(select(table).where(table.c.id == number)).mappings().first()
    if row is None:
        raise PlanUnusable("the ledger has no such batch", where=f"batch {number}")
    found = connection.execute(
        select(objects).where(objects.c.batch == number).order_by(objects.c.id)
    ).mappings()
    proven = row["proven"]
    return Batch(
        number,
        row["plan"],
        Removal(
            unit=row["unit"],
            transaction=row["transaction"],
            keys=_unpacked(row["keys"]),
            sums={name: Bucket(*sums) for name, sums in proven["sums"].items()},
            hours={
                unit: {datetime.fromisoformat(hour): Bucket(*sums) for hour, sums in hours.items()}
                for unit, hours in proven["hours"].items()
            },
            kept=_unpacked(row["kept"]),
            objects=[_object_of(item) for item in found],
        ),
    )


def _object_of(row: Any) -> StoredObject:
    member = None
    if row["row_table"] is not None:
        unit = Unit.from_key(row["unit"]) if row["unit"] else None
        member = Member(row["row_table"], row["row_key"], unit)
    return StoredObject(row["key"], member, row["column"])


def proven(removal: Removal) -> dict[str, Any]:
    """What the rows of a removal add up to, as JSON."""
    return {
        "sums": {name: [b.count, b.high, b.low] for name, b in removal.sums.items()},
        "hours": {
            unit: {hour.isoformat(): [b.count, b.high, b.low] for hour, b in hours.items()}
            for unit, hours in removal.hours.items()
        },
    }


def move(connection: Connection, batch: int, before: str, to: str) -> bool:
    """Change a batch's state; False if it was another one."""
    table = tables.deletion_batch
    statement = (
        update(table)
        .where(table.c.id == batch, table.c.state == before)
        .values(state=to, updated_at=func.now())
    )
    return bool(connection.execute(statement).rowcount)


def mark_objects(connection: Connection, batch: int, before: Sequence[str], to: str) -> None:
    """Change the state of a batch's objects."""
    table = tables.deletion_object
    connection.execute(
        update(table)
        .where(table.c.batch == batch, table.c.state.in_(before))
        .values(state=to, updated_at=func.now())
    )


_ADD_UP = text("""
INSERT INTO logmigrate.deletion_hour AS t (migration, unit, hour, rows, high, low)
SELECT :migration, u.unit, u.hour, u.rows, u.high, u.low
FROM unnest(CAST(:units AS text[]), CAST(:hours AS timestamptz[]), CAST(:rows AS bigint[]),
    CAST(:high AS numeric[]), CAST(:low AS numeric[])) AS u(unit, hour, rows, high, low)
ON CONFLICT (migration, unit, hour) DO UPDATE
SET rows = t.rows + excluded.rows, high = t.high + excluded.high, low = t.low + excluded.low
""")


def add_up(connection: Connection, migration: str, removal: Removal, *, sign: int) -> None:
    """Add what left to the units' hours, or take it away again; in one statement, they are many."""
    found = [
        (unit, hour, sign * bucket.count, sign * bucket.high, sign * bucket.low)
        for unit, hours in sorted(removal.hours.items())
        for hour, bucket in sorted(hours.items())
    ]
    if not found:
        return
    columns = [list(column) for column in zip(*found, strict=True)]
    values = dict(zip(("units", "hours", "rows", "high", "low"), columns, strict=True))
    connection.execute(_ADD_UP, {"migration": migration, **values})


def packed(value: Mapping[str, Sequence[str]]) -> bytes:
    """Long lists of keys or rows, compressed."""
    return zlib.compress(
        json.dumps({name: list(items) for name, items in value.items()}).encode(), level=1
    )


def _unpacked(value: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(zlib.decompress(value))
    return found
