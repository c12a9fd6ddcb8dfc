"""Findings of the read: what was odd about a row but stopped nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.ports import SourceFinding
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.fence import hold
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import cut, key_digest, storable


class Findings:
    """Keeps findings, one per unit, kind and key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, migration: str, unit: str, found: Sequence[SourceFinding], *, attempt: int
    ) -> None:
        """Keep the findings, all or none. Idempotent per kind and key; the newest detail stays.

        :raises Fenced: ``attempt`` doesn't hold the unit any more.
        """
        rows = {
            (item.kind, item.key): {
                "migration": migration,
                "unit": unit,
                "kind": storable(item.kind),
                "key": storable(item.key),
                "key_digest": key_digest(item.key),
                "detail": cut(item.detail),
                "attempt": attempt,
                "who": storable(self._database.who),
            }
            for item in found
        }
        if not rows:
            return

        def work(connection: Connection) -> None:
            hold(connection, migration=migration, unit=unit, attempt=attempt)
            statement = insert(tables.finding)
            statement = statement.on_conflict_do_update(
                index_elements=["migration", "unit", "kind", "key_digest"],
                set_={name: statement.excluded[name] for name in ("detail", "attempt", "who")}
                | {"updated_at": func.now()},
            )
            connection.execute(statement, list(rows.values()))

        self._database.transact(work)

    def list(self, migration: str, unit: str, *, limit: int = 100) -> list[SourceFinding]:
        """The first ones of a unit in the order they came."""
        table = tables.finding
        query = (
            select(table.c.kind, table.c.key, table.c.detail)
            .where(table.c.migration == migration, table.c.unit == unit)
            .order_by(table.c.id)
            .limit(limit)
        )
        return self._database.transact(
            lambda connection: [SourceFinding(*row) for row in connection.execute(query)]
        )

    def counts(
        self, migration: str, *, units: Sequence[str] | None = None
    ) -> dict[str, dict[str, int]]:
        """How many of each kind, by unit; a unit without any isn't in it.

        :param units: of these only.
        """
        table = tables.finding
        query = (
            select(table.c.unit, table.c.kind, func.count())
            .where(table.c.migration == migration)
            .group_by(table.c.unit, table.c.kind)
            .order_by(table.c.unit, table.c.kind)
        )
        if units is not None:
            query = query.where(table.c.unit.in_([storable(unit) for unit in units]))
        counted: dict[str, dict[str, int]] = {}
        for unit, kind, count in self._database.transact(lambda c: c.execute(query).all()):
            counted.setdefault(unit, {})[kind] = count
        return counted
