"""Dead letters that have got through, closed in the transaction of the proof that saw it."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, LargeBinary, bindparam, func, update
from sqlalchemy.dialects.postgresql import ARRAY

from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.letter import LetterState
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import key_digest


def close_letters(
    connection: Connection, *, migration: str, unit: str, keys: Collection[str], who: str
) -> None:
    """Mark those of a unit whose documents the target has by now, in the caller's transaction.

    :param keys: whose documents were found there; those without a dead letter don't matter.
    """
    if not keys:
        return
    table = tables.dead_letter
    digests = bindparam("digests", [key_digest(key) for key in keys], ARRAY(LargeBinary))
    closed = connection.execute(
        update(table)
        .where(
            table.c.migration == migration,
            table.c.unit == unit,
            table.c.state != LetterState.REDRIVEN.value,
            table.c.key_digest == func.any(digests),
        )
        .values(state=LetterState.REDRIVEN.value, updated_at=func.now())
    ).rowcount
    if closed:
        history.append(
            connection,
            who=who,
            action="dead_letters.redriven",
            subject=f"{migration}/{unit}",
            count=closed,
        )
