"""Operators that keep open periods in step with a source that is still written to.

Each run proves every open or just closed unit once. What differs is copied by its keys, units that
nobody has begun are copied whole. No change capture: the fingerprints say what has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.certificate import ProofMode
from airflow_provider_logmigrate.core.checkpoint import Phase
from airflow_provider_logmigrate.operators.backfill import copied_units, copy_units
from airflow_provider_logmigrate.operators.options import RunOptions
from airflow_provider_logmigrate.operators.tenants_dry_run import TenantsDryRunOperator
from airflow_provider_logmigrate.operators.tenants_steps import GROUP, TenantsStep
from airflow_provider_logmigrate.operators.validate import prove_units, told_to

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.core.plan import Plan
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.operators.batches import TenantWork

FOLLOW = f"{GROUP}.follow"


class FollowPlanOperator(TenantsDryRunOperator):
    """Plan what is followed: open periods, and those that closed a short while ago.

    A unit that another DAG is copying for the first time is left out: it is that DAG's business.
    """

    def options(
        self, migration: Migration, params: Mapping[str, Any], *, now: datetime
    ) -> RunOptions:
        """Days from the end of the last period that isn't followed any more until now."""
        closed_for = migration.follow.closed_for if migration.follow else None
        since = (now - closed_for).date() if closed_for else now.date()
        days = {"from": max(migration.first, since).isoformat(), "to": now.date().isoformat()}
        return RunOptions.of(migration, {**params, **days}, now=now)

    def narrowed(self, context: Context, plan: Plan, ledger: Ledger) -> Plan:
        """Without units whose first copy another DAG has begun."""
        ours = f"{context['ti'].dag_id}/"
        theirs = {
            state.unit
            for state in ledger.units.states(plan.migration, tenant=plan.tenant)
            if state.phase is Phase.COPYING and not state.holder.startswith(ours)
        }
        if left := [unit.key for unit in plan.units if unit.key in theirs]:
            self.log.info("Not followed, another DAG's copy isn't finished: %s", ", ".join(left))
        return replace(plan, units=tuple(unit for unit in plan.units if unit.key not in theirs))

    def most_batches(self, migration: Migration) -> int:
        """As many as work at the same time: most units need a proof and nothing else."""
        return migration.lanes


class FollowOperator(TenantsStep):
    """Bring the units of a batch's tenants up to date and prove them, by fingerprints by default.

    One proof each where nothing has changed. Differences are repaired as far as the migration's
    ``reconcile`` allows, see :class:`ReconcileOperator`; an index that serves goes on serving.
    """

    def work(self, context: Context, one: TenantWork) -> dict[str, Any]:
        """Counts of the units that were copied for the first time."""
        new = tuple(unit for unit in one.plan.units if not one.copier.is_copied(unit))
        if new:
            one.bench.put_templates()
        outcomes = copy_units(one.copier, replace(one.plan, units=new), log=self.log)
        params = context["params"]
        sample, mode = params.get("sample"), params.get("mode")
        prove_units(
            one.copier,
            one.plan.units,
            plan_hash=one.plan_hash,
            sample=one.bench.migration.sample if sample is None else int(sample),
            mode=ProofMode(mode) if mode else ProofMode.FINGERPRINT,
            bounds=told_to(one.bench.migration.reconcile, params),
            log=self.log,
        )
        return copied_units(outcomes)


class FollowSwapOperator(TenantsStep):
    """Show new units to readers, by the rules of :class:`AliasSwapOperator`.

    Units whose aliases are right already are passed over.
    """

    def work(self, context: Context, one: TenantWork) -> dict[str, Any]:  # noqa: ARG002
        """Id of the cut-over, number of units swapped, units withheld."""
        from airflow_provider_logmigrate.operators.swap import cut_over

        result = cut_over(
            one.bench, one.ledger, one.plan, copier=one.copier, run=one.run, new_only=True
        )
        for unit, reason in result.withheld.items():
            self.log.warning("%s is withheld from the cut-over: %s", unit, reason)
        return {
            "cutover": result.cutover,
            "swapped": len(result.swapped),
            "withheld": dict(result.withheld),
        }
