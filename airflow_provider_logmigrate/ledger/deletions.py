"""What left the source: every batch with its keys, so that it can be counted and brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Connection, func, select, update

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.purge import PurgeUnit
from airflow_provider_logmigrate.core.purge_ports import Batch, Removal
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.deletion_batches import (
    DELETED,
    INTENDED,
    PENDING,
    RESTORED,
    add_up,
    load,
    mark_objects,
    move,
)
from airflow_provider_logmigrate.ledger.purge_plans import PurgePlans
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import cut
from airflow_provider_logmigrate.ledger.unit_deletions import UnitDeletions


@dataclass(frozen=True, slots=True)
class PendingObject:
    """An object that is to be deleted, since the rows that named it are gone."""

    id: int
    key: str
    failure: str | None


class Deletions:
    """Keeps deletions; a batch changes its state in the transaction that counts it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.plans = PurgePlans(database)

    def attempt(
        self,
        migration: str,
        unit: PurgeUnit,
        *,
        plan_hash: str,
        attempt: int,
        recheck: Callable[[], None] = lambda: None,
    ) -> UnitDeletions:
        """The log of one attempt at one unit.

        :param attempt: the fencing token that claimed the unit.
        :param recheck: raises what forbids a deletion right now, beyond what the ledger knows.
        """
        return UnitDeletions(self._database, migration, unit, plan_hash, attempt, recheck)

    def gone(self, migration: str, unit: str) -> dict[datetime, Bucket]:
        """What was purged of a unit and isn't restored, by hour."""
        table = tables.deletion_hour
        query = select(table.c.hour, table.c.rows, table.c.high, table.c.low).where(
            table.c.migration == migration, table.c.unit == unit, table.c.rows > 0
        )
        rows = self._database.transact(lambda c: c.execute(query).all())
        return {
            hour.astimezone(timezone.utc): Bucket(count, int(high), int(low))
            for hour, count, high, low in rows
        }

    def rows(self, migration: str) -> dict[str, int]:
        """Rows of each unit's own table that were purged and aren't restored, by unit."""
        table = tables.deletion_hour
        query = (
            select(table.c.unit, func.sum(table.c.rows))
            .where(table.c.migration == migration, table.c.rows > 0)
            .group_by(table.c.unit)
        )
        found = self._database.transact(lambda c: c.execute(query).all())
        return {unit: int(rows) for unit, rows in found}

    def counts(self, migration: str, unit: str) -> dict[str, int]:
        """Rows by table that left with a unit and aren't restored."""
        table = tables.deletion_batch
        query = select(table.c.counts).where(
            table.c.migration == migration, table.c.unit == unit, table.c.state == DELETED
        )
        total: dict[str, int] = {}
        for counts in self._database.transact(lambda c: c.scalars(query).all()):
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
        return total

    def units(self, migration: str, *, tenant: str | None = None) -> list[str]:
        """Keys of units with purged rows."""
        table = tables.deletion_batch
        query = (
            select(table.c.unit)
            .where(table.c.migration == migration, table.c.state == DELETED)
            .distinct()
            .order_by(table.c.unit)
        )
        keys = self._database.transact(lambda c: c.scalars(query).all())
        return [key for key in keys if tenant is None or Unit.from_key(key).tenant == tenant]

    def open_units(self, migration: str, *, tenant: str) -> list[str]:
        """Keys of a tenant's units with a batch whose end nobody saw."""
        table = tables.deletion_batch
        query = (
            select(table.c.unit)
            .where(table.c.migration == migration, table.c.state == INTENDED)
            .distinct()
            .order_by(table.c.unit)
        )
        keys = self._database.transact(lambda c: c.scalars(query).all())
        return [key for key in keys if Unit.from_key(key).tenant == tenant]

    def newest_plan(self, migration: str, unit: str) -> str:
        """Hash of the plan by which rows of a unit were purged last.

        :raises PlanUnusable: none ever were.
        """
        table = tables.deletion_batch
        query = (
            select(table.c.plan)
            .where(table.c.migration == migration, table.c.unit == unit)
            .order_by(table.c.id.desc())
            .limit(1)
        )
        found: str | None = self._database.transact(lambda c: c.scalar(query))
        if found is None:
            raise PlanUnusable("nothing was ever purged of this unit", where=unit)
        return found

    def batches(self, migration: str, unit: str) -> Iterator[Batch]:
        """Deleted batches of a unit, newest first, each read when it is asked for."""
        table = tables.deletion_batch
        query = (
            select(table.c.id)
            .where(table.c.migration == migration, table.c.unit == unit, table.c.state == DELETED)
            .order_by(table.c.id.desc())
        )
        for number in self._database.transact(lambda c: c.scalars(query).all()):
            yield self._database.transact(lambda c, number=number: load(c, number))  # type: ignore[misc]

    def mark_restored(self, migration: str, batch: Batch) -> None:
        """The batch's rows are back, proven. Idempotent."""

        def work(connection: Connection) -> None:
            if not move(connection, batch.id, DELETED, RESTORED):
                return
            add_up(connection, migration, batch.removal, sign=-1)
            mark_objects(connection, batch.id, (PENDING, DELETED), RESTORED)
            self._note(connection, "purge.restored", migration, batch.removal)

        self._database.transact(work)

    def partition_dropped(self, migration: str, unit: str, table: str) -> None:
        """A partition that the unit's purge emptied is gone."""
        self._database.transact(
            lambda c: history.append(
                c,
                who=self._database.who,
                action="purge.partition_dropped",
                subject=f"{migration}/{unit}",
                table=table,
            )
        )

    def pending_objects(self, migration: str) -> list[PendingObject]:
        """Objects whose rows are gone, and which are still to be deleted."""
        this, batch = tables.deletion_object, tables.deletion_batch
        query = (
            select(this.c.id, this.c.key, this.c.failure)
            .join(batch, batch.c.id == this.c.batch)
            .where(batch.c.migration == migration, this.c.state == PENDING)
            .order_by(this.c.id)
        )
        rows = self._database.transact(lambda c: c.execute(query).all())
        return [PendingObject(*row) for row in rows]

    def object_deleted(self, number: int) -> None:
        """An object is gone. Idempotent."""
        self._object(number, state=DELETED, failure=None)

    def object_failed(self, number: int, reason: str) -> None:
        """An object couldn't be deleted: it stays pending."""
        self._object(number, failure=cut(reason))

    def _object(self, number: int, **values: Any) -> None:
        table = tables.deletion_object
        statement = (
            update(table)
            .where(table.c.id == number, table.c.state == PENDING)
            .values(**values, updated_at=func.now())
        )
        self._database.transact(lambda c: c.execute(statement))

    def _note(self, connection: Connection, action: str, migration: str, what: Removal) -> None:
        history.append(
            connection,
            who=self._database.who,
            action=action,
            subject=f"{migration}/{what.unit}",
            rows={table: len(keys) for table, keys in what.keys.items()},
        )
