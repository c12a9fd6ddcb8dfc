"""Purge plans, by their hash: a purge deletes what a stored plan names, nothing else."""

from __future__ import annotations

from airflow_provider_logmigrate.core.purge import PurgePlan
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.stored_plans import StoredPlans


class PurgePlans:
    """Keeps purge plans."""

    def __init__(self, database: Database) -> None:
        self._stored = StoredPlans(
            database,
            tables.purge_plan,
            kind="purge plan",
            action="purge.planned",
            parse=PurgePlan.from_json,
            next_step=(
                "run the purge's DAG without `plan`: its task `plan` makes a new one and prints its"
                " hash"
            ),
        )

    def save(self, plan: PurgePlan) -> str:
        """Keep the plan and return its hash. Idempotent; sizes and why units stay are kept anew."""
        return self._stored.save(plan, tenant=plan.tenant, units=len(plan.units), rows=plan.rows)

    def load(self, plan_hash: str) -> PurgePlan:
        """The plan with this hash.

        :raises PlanUnusable: there is none, or the stored one was changed by hand.
        """
        return self._stored.load(plan_hash)
