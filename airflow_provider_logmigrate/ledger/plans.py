"""Plans, by their hash: what a later step quotes is exactly what was shown before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.plan import Plan
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import storable


class Plans:
    """Keeps plans."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, plan: Plan) -> str:
        """Keep the plan and return its hash. Idempotent: the same hash is kept once.

        A repetition refreshes what the hash leaves out (estimates, warnings), so that later steps
        work with the sizes a person saw last.
        """
        plan_hash, table = plan.hash, tables.plan

        def work(connection: Connection) -> None:
            values = {
                "hash": plan_hash,
                "migration": plan.migration,
                "tenant": storable(plan.tenant),
                "body": plan.to_json(),
                "who": storable(self._database.who),
            }
            statement = insert(table).values(values).on_conflict_do_nothing()
            if connection.execute(statement.returning(table.c.hash)).first() is None:
                connection.execute(
                    table.update().where(table.c.hash == plan_hash).values(body=values["body"])
                )
                return
            history.append(
                connection,
                who=self._database.who,
                action="plan.saved",
                subject=plan_hash,
                migration=plan.migration,
                tenant=plan.tenant,
                units=len(plan.units),
                rows=plan.rows,
            )

        self._database.transact(work)
        return plan_hash

    def load(self, plan_hash: str) -> Plan:
        """The plan with this hash.

        :raises PlanUnusable: there is none, or the stored one was changed by hand.
        """
        query = select(tables.plan.c.body).where(tables.plan.c.hash == storable(plan_hash))
        body: dict[str, Any] | None = self._database.transact(lambda c: c.scalar(query))
        if body is None:
            raise PlanUnusable("the ledger has no such plan", where=f"plan {plan_hash}")
        try:
            plan = Plan.from_json(body)
        except (KeyError, TypeError, ValueError) as error:
            raise PlanUnusable(
                f"the stored plan can't be read: {error!r}", where=f"plan {plan_hash}"
            ) from error
        if plan.hash != plan_hash:
            raise PlanUnusable("the stored plan isn't what was saved", where=f"plan {plan_hash}")
        return plan
