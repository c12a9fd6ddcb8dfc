"""Purge plans, by their hash: a purge deletes what a stored plan names, nothing else."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.purge import PurgePlan
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import storable

_NEXT = "run the purge's DAG without `plan`: its task `plan` makes a new one and prints its hash"


class PurgePlans:
    """Keeps purge plans."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, plan: PurgePlan) -> str:
        """Keep the plan and return its hash. Idempotent."""
        plan_hash, table = plan.hash, tables.purge_plan

        def work(connection: Connection) -> None:
            statement = insert(table).values(
                hash=plan_hash,
                migration=plan.migration,
                tenant=storable(plan.tenant),
                body=plan.to_json(),
                who=storable(self._database.who),
            )
            kept = statement.on_conflict_do_nothing().returning(table.c.hash)
            if connection.execute(kept).first() is not None:
                history.append(
                    connection,
                    who=self._database.who,
                    action="purge.planned",
                    subject=plan_hash,
                    migration=plan.migration,
                    tenant=plan.tenant,
                    units=len(plan.units),
                    rows=plan.rows,
                )

        self._database.transact(work)
        return plan_hash

    def load(self, plan_hash: str) -> PurgePlan:
        """The plan with this hash.

        :raises PlanUnusable: there is none, or the stored one was changed by hand.
        """
        table = tables.purge_plan
        query = select(table.c.body).where(table.c.hash == storable(plan_hash))
        body: dict[str, Any] | None = self._database.transact(lambda c: c.scalar(query))
        where = f"purge plan {plan_hash}"
        if body is None:
            raise PlanUnusable("the ledger has no such purge plan", where=where, next_step=_NEXT)
        try:
            plan = PurgePlan.from_json(body)
        except (KeyError, TypeError, ValueError) as error:
            raise PlanUnusable(
                f"the stored plan can't be read: {error!r}", where=where, next_step=_NEXT
            ) from error
        if plan.hash != plan_hash:
            raise PlanUnusable("the stored plan isn't what was saved", where=where, next_step=_NEXT)
        return plan
