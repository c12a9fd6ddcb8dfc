"""Certificates: every proof that was made, the newest of a unit first in authority."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.certificate import Certificate
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.arrived import close_letters
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import storable


class Certificates:
    """Keeps certificates; none is ever changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self, migration: str, certificate: Certificate, *, arrived: Collection[str] = ()
    ) -> None:
        """Keep the certificate; durable on return. Idempotent by its id.

        :param arrived: keys of documents that its proof has found. Their dead letters are closed
            with it, both or nothing: no kill leaves a letter closed and the gap certified.
        """
        table = tables.certificate

        def work(connection: Connection) -> None:
            statement = insert(table).values(
                id=certificate.id,
                migration=migration,
                unit=certificate.unit,
                verdict=certificate.verdict.value,
                body=certificate.to_json(),
                as_of=datetime.fromisoformat(certificate.as_of),
                who=storable(self._database.who),
            )
            kept = statement.on_conflict_do_nothing(index_elements=["id"]).returning(table.c.id)
            if connection.execute(kept).first() is None:
                return
            history.append(
                connection,
                who=self._database.who,
                action="certificate.saved",
                subject=f"{migration}/{certificate.unit}",
                certificate=certificate.id,
                verdict=certificate.verdict.value,
                plan=certificate.plan_hash,
            )
            close_letters(
                connection,
                migration=migration,
                unit=certificate.unit,
                keys=arrived,
                who=self._database.who,
            )

        self._database.transact(work)

    def latest(self, migration: str, unit: str) -> Certificate | None:
        """The certificate saved last for exactly this unit."""
        table = tables.certificate
        query = (
            select(table.c.body)
            .where(table.c.migration == migration, table.c.unit == unit)
            .order_by(table.c.number.desc())
            .limit(1)
        )
        body = self._database.transact(lambda connection: connection.scalar(query))
        return None if body is None else Certificate.from_json(body)

    def get(self, identifier: str) -> tuple[str, Certificate]:
        """One of them, and its migration. :raises PlanUnusable: there is no such one."""
        table = tables.certificate
        query = select(table.c.migration, table.c.body).where(table.c.id == storable(identifier))
        row = self._database.transact(lambda connection: connection.execute(query).first())
        if row is None:
            raise PlanUnusable(
                "the ledger has no such certificate",
                where=f"certificate {identifier}",
                next_step="find its id with `airflow logmigrate status`",
            )
        return row.migration, Certificate.from_json(row.body)

    def latest_by_unit(
        self, migration: str, *, units: Sequence[str] | None = None
    ) -> dict[str, Certificate]:
        """The certificate saved last for each unit of a migration.

        :param units: of these only; a migration of many tenants has many more.
        """
        table = tables.certificate
        last = (
            select(func.max(table.c.number))
            .where(table.c.migration == migration)
            .group_by(table.c.unit)
        )
        if units is not None:
            last = last.where(table.c.unit.in_([storable(unit) for unit in units]))
        query = (
            select(table.c.unit, table.c.body)
            .where(table.c.migration == migration, table.c.number.in_(last))
            .order_by(table.c.unit)
        )
        rows = self._database.transact(lambda connection: connection.execute(query).all())
        return {row.unit: Certificate.from_json(row.body) for row in rows}
