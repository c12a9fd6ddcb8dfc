"""The fence: a write counts only while its attempt is the unit's newest."""

from __future__ import annotations

from sqlalchemy import Connection, select

from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.ledger.schema import tables


def hold(connection: Connection, *, migration: str, unit: str, attempt: int) -> None:
    """Make sure that ``attempt`` holds the unit, and that nobody takes it before the commit.

    Locks the unit's row: a newer attempt's claim waits, and so comes after what is written now.

    :raises Fenced: another attempt holds it.
    """
    table = tables.unit
    row = connection.execute(
        select(table.c.attempt, table.c.holder)
        .where(table.c.migration == migration, table.c.unit == unit)
        .with_for_update(read=True)
    ).first()
    if row is None or row.attempt != attempt:
        raise fenced(
            migration=migration,
            unit=unit,
            attempt=attempt,
            stored=row.attempt if row else None,
            holder=row.holder if row else None,
        )


def fenced(
    *, migration: str, unit: str, attempt: int, stored: int | None, holder: str | None
) -> Fenced:
    """The error that says who holds the unit instead."""
    where = f"{migration}: {unit}"
    if stored is None:
        return Fenced(
            f"attempt {attempt} holds nothing: the ledger doesn't know the unit",
            where=where,
            next_step="clear the task: a new attempt claims the unit again",
            attempt=attempt,
        )
    return Fenced(
        f"attempt {attempt} was taken over by attempt {stored} ({holder})"
        if stored > attempt
        else f"attempt {attempt} never claimed the unit, attempt {stored} ({holder}) holds it",
        where=where,
        attempt=attempt,
        stored=stored,
        holder=holder,
    )
