"""What left the source: every batch with its keys, so that it can be counted and brought back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.errors import CertificateMissing, PlanUnusable
from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.purge import PurgeUnit
from airflow_provider_logmigrate.core.purge_ports import Batch, Member, Removal, StoredObject
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.fence import hold
from airflow_provider_logmigrate.ledger.purge_plans import PurgePlans
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import cut, storable

INTENDED, DELETED, RESTORED, PENDING = "intended", "deleted", "restored", "pending"


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
            yield self._database.transact(lambda c, number=number: _load(c, number))  # type: ignore[misc]

    def mark_restored(self, migration: str, batch: Batch) -> None:
        """The batch's rows are back, proven. Idempotent."""

        def work(connection: Connection) -> None:
            if not _move(connection, batch.id, DELETED, RESTORED):
                return
            _count(connection, migration, batch.removal, sign=-1)
            _objects(connection, batch.id, (PENDING, DELETED), RESTORED)
            self._note(connection, "purge.restored", migration, batch.removal)

        self._database.transact(work)

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


class UnitDeletions:
    """Implements :class:`~core.purge_ports.DeletionLog`; made by :meth:`Deletions.attempt`."""

    def __init__(
        self,
        database: Database,
        migration: str,
        unit: PurgeUnit,
        plan_hash: str,
        attempt: int,
        recheck: Callable[[], None],
    ) -> None:
        self._database, self._migration, self._unit = database, migration, unit
        self._plan_hash, self._attempt, self._recheck = plan_hash, attempt, recheck

    def open(self) -> Sequence[Batch]:
        """See the port. :raises Fenced: a newer attempt holds the unit."""
        table = tables.deletion_batch
        query = (
            select(table.c.id)
            .where(
                table.c.migration == self._migration,
                table.c.unit == self._unit.key,
                table.c.state == INTENDED,
            )
            .order_by(table.c.id)
        )

        def work(connection: Connection) -> list[Batch]:
            self._hold(connection)
            return [_load(connection, number) for number in connection.scalars(query).all()]

        return self._database.transact(work)

    def intend(self, removal: Removal) -> int:
        """See the port.

        :raises Fenced: a newer attempt holds the unit.
        :raises CertificateMissing: a unit's newest certificate forbids it.
        """
        self._recheck()
        return self._database.transact(lambda c: self._intend(c, removal))

    def _intend(self, connection: Connection, removal: Removal) -> int:
        self._hold(connection)
        self._check_certificates(connection)
        table = tables.deletion_batch
        mine = (table.c.migration == self._migration, table.c.unit == removal.unit)
        # ``transact`` may run this twice: the first one's commit may have been answered by nobody.
        again = select(table.c.id).where(
            *mine, table.c.transaction == removal.transaction, table.c.state == INTENDED
        )
        if (number := connection.scalar(again)) is not None:
            return int(number)
        number = connection.execute(
            insert(table)
            .values(
                migration=self._migration,
                unit=removal.unit,
                plan=self._plan_hash,
                attempt=self._attempt,
                transaction=removal.transaction,
                state=INTENDED,
                counts={name: len(keys) for name, keys in removal.keys.items()},
                proven=_proven(removal),
                keys=_packed(removal.keys),
                kept=_packed(removal.kept),
                who=storable(self._database.who),
            )
            .returning(table.c.id)
        ).scalar_one()
        if removal.objects:
            connection.execute(
                insert(tables.deletion_object),
                [
                    {
                        "batch": number,
                        "key": item.key,
                        "unit": item.row.unit.key if item.row and item.row.unit else None,
                        "row_table": item.row.table if item.row else None,
                        "row_key": item.row.key if item.row else None,
                        "column": item.column,
                        "state": INTENDED,
                        "who": storable(self._database.who),
                    }
                    for item in removal.objects
                ],
            )
        return int(number)

    def settle(self, batch: int) -> None:
        """See the port. Counted in the transaction that changes the state, so exactly once."""

        def work(connection: Connection) -> None:
            if not _move(connection, batch, INTENDED, DELETED):
                return
            removal = _load(connection, batch).removal
            _count(connection, self._migration, removal, sign=1)
            _objects(connection, batch, (INTENDED,), PENDING)

        self._database.transact(work)

    def drop(self, batch: int) -> None:
        """See the port."""

        def work(connection: Connection) -> None:
            table, objects = tables.deletion_batch, tables.deletion_object
            open_ = select(table.c.id).where(table.c.id == batch, table.c.state == INTENDED)
            if connection.scalar(open_.with_for_update()) is None:
                return
            connection.execute(delete(objects).where(objects.c.batch == batch))
            connection.execute(delete(table).where(table.c.id == batch))

        self._database.transact(work)

    def _hold(self, connection: Connection) -> None:
        hold(connection, migration=self._migration, unit=self._unit.key, attempt=self._attempt)

    def _check_certificates(self, connection: Connection) -> None:
        table = tables.certificate
        query = (
            select(table.c.unit, table.c.body)
            .where(
                table.c.migration == self._migration,
                table.c.unit.in_(self._unit.certificates),
            )
            .order_by(table.c.number)
        )
        newest = {unit: Certificate.from_json(body) for unit, body in connection.execute(query)}
        for plan in self._unit.units.values():
            found = newest.get(plan.key)
            if found is None:
                raise CertificateMissing("the unit has no certificate", where=plan.key)
            if found.id == self._unit.certificates.get(plan.key):
                continue
            same = found.index == plan.index and found.definition == plan.definition
            if found.verdict is Verdict.DIFFERENT or not same:
                raise CertificateMissing(
                    f"a newer certificate, {found.id}, says {found.verdict.value} about"
                    f" {found.index}",
                    where=plan.key,
                )


def _load(connection: Connection, number: int) -> Batch:
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


def _proven(removal: Removal) -> dict[str, Any]:
    return {
        "sums": {name: [b.count, b.high, b.low] for name, b in removal.sums.items()},
        "hours": {
            unit: {hour.isoformat(): [b.count, b.high, b.low] for hour, b in hours.items()}
            for unit, hours in removal.hours.items()
        },
    }


def _move(connection: Connection, batch: int, before: str, to: str) -> bool:
    table = tables.deletion_batch
    statement = (
        update(table)
        .where(table.c.id == batch, table.c.state == before)
        .values(state=to, updated_at=func.now())
    )
    return bool(connection.execute(statement).rowcount)


def _objects(connection: Connection, batch: int, before: Sequence[str], to: str) -> None:
    table = tables.deletion_object
    connection.execute(
        update(table)
        .where(table.c.batch == batch, table.c.state.in_(before))
        .values(state=to, updated_at=func.now())
    )


def _count(connection: Connection, migration: str, removal: Removal, *, sign: int) -> None:
    table = tables.deletion_hour
    rows = [
        {
            "migration": migration,
            "unit": unit,
            "hour": hour,
            "rows": sign * bucket.count,
            "high": sign * bucket.high,
            "low": sign * bucket.low,
        }
        for unit, hours in sorted(removal.hours.items())
        for hour, bucket in sorted(hours.items())
    ]
    if not rows:
        return
    statement = upsert(table)
    added = {name: table.c[name] + statement.excluded[name] for name in ("rows", "high", "low")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["migration", "unit", "hour"], set_=added),
        rows,
    )


def _packed(value: Mapping[str, Sequence[str]]) -> bytes:
    return zlib.compress(json.dumps({name: list(items) for name, items in value.items()}).encode())


def _unpacked(value: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(zlib.decompress(value))
    return found
