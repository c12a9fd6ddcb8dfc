"""Plans of copies, by their hash: what a later step quotes is exactly what was shown before."""

from __future__ import annotations

from airflow_provider_logmigrate.core.plan import Plan
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.stored_plans import StoredPlans


class Plans:
    """Keeps plans."""

    def __init__(self, database: Database) -> None:
        self._stored = StoredPlans(
            database, tables.plan, kind="plan", action="plan.saved", parse=Plan.from_json
        )

    def save(self, plan: Plan) -> str:
        """Keep the plan and return its hash. Idempotent; estimates and warnings are kept anew."""
        return self._stored.save(plan, tenant=plan.tenant, units=len(plan.units), rows=plan.rows)

    def load(self, plan_hash: str) -> Plan:
        """The plan with this hash.

        :raises PlanUnusable: there is none, or the stored one was changed by hand.
        """
        return self._stored.load(plan_hash)
