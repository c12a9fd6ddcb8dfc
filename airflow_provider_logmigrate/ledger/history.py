"""Who did what when: appended in the transaction of the change it tells of.

Kept are decisions and turns: a plan saved, a unit claimed or copied, dead letters kept or
resolved, a certificate, every step of a cut-over, a run's start and end. Left out are the moves of
a checkpoint (one every few seconds) and single findings (records of their own, with their author).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import storable, storable_json


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done.

    :param action: ``subject kind.verb``, for example ``unit.claimed``.
    :param subject: what it was done to: ``migration/unit key``, a plan hash, a cut-over's id.
    """

    at: datetime
    who: str
    action: str
    subject: str
    detail: Mapping[str, Any]


def append(connection: Connection, *, who: str, action: str, subject: str, **detail: Any) -> None:
    """Add an entry in the caller's transaction: it stands exactly when the change does."""
    connection.execute(
        insert(tables.history).values(
            who=storable(who),
            action=action,
            subject=storable(subject),
            detail=storable_json(detail),
        )
    )


class History:
    """Reads what was done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, *, subject: str | None = None, limit: int = 100) -> list[Entry]:
        """The newest entries first, of everything or of one subject."""
        table = tables.history
        query = select(
            table.c.at, table.c.who, table.c.action, table.c.subject, table.c.detail
        ).order_by(table.c.id.desc())
        if subject is not None:
            query = query.where(table.c.subject == storable(subject))
        return self._database.transact(
            lambda connection: [Entry(*row) for row in connection.execute(query.limit(limit))]
        )
