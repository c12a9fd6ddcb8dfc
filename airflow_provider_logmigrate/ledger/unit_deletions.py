"""The log of one attempt at one unit: intent, commit, or nothing, each durable and fenced."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, delete, insert, select

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.errors import CertificateMissing
from airflow_provider_logmigrate.core.purge import PurgeUnit
from airflow_provider_logmigrate.core.purge_ports import Batch, Removal
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.deletion_batches import (
    DELETED,
    INTENDED,
    PENDING,
    add_up,
    load,
    mark_objects,
    move,
    packed,
    proven,
)
from airflow_provider_logmigrate.ledger.fence import hold
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import storable


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
        self._intended: dict[int, Removal] = {}

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
            return [load(connection, number) for number in connection.scalars(query).all()]

        return self._database.transact(work)

    def intend(self, removal: Removal) -> int:
        """See the port.

        :raises Fenced: a newer attempt holds the unit.
        :raises CertificateMissing: a unit's newest certificate forbids it.
        """
        self._recheck()
        number = self._database.transact(lambda c: self._intend(c, removal))
        self._intended[number] = removal
        return number

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
                proven=proven(removal),
                keys=packed(removal.keys),
                kept=packed(removal.kept),
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
        known = self._intended.pop(batch, None)

        def work(connection: Connection) -> None:
            if not move(connection, batch, INTENDED, DELETED):
                return
            removal = known or load(connection, batch).removal
            add_up(connection, self._migration, removal, sign=1)
            mark_objects(connection, batch, (INTENDED,), PENDING)

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
