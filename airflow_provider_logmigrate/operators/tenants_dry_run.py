"""TenantsDryRunOperator: plans many tenants at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.utils.skipmixin import SkipMixin

from airflow_provider_logmigrate.core.errors import Halt, NeedsAction, TenantInvalid
from airflow_provider_logmigrate.operators.base import LogMigrateOperator, run_key
from airflow_provider_logmigrate.operators.batches import MAX_BATCHES, Planned, batches
from airflow_provider_logmigrate.operators.options import RunOptions
from airflow_provider_logmigrate.operators.report import RunUnsuccessful
from airflow_provider_logmigrate.operators.run_end import RunEnd
from airflow_provider_logmigrate.operators.tenants_steps import REPORT

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.core.plan import Plan
    from airflow_provider_logmigrate.ledger.ledger import Ledger

WARNINGS = 20
"""Shown of a run's warnings: those of thousands of tenants repeat themselves."""


class TenantsDryRunOperator(LogMigrateOperator, SkipMixin):
    """Plan many tenants of a migration: one pass over each table, a plan for each tenant.

    Reads from source and target, writes only plans and runs into the ledger. A tenant that can't
    be planned doesn't keep the others from it: the report of its batch fails with the reason.

    :param tenants: names; default: run parameter ``tenants``, else all of the migration.
    :returns: batches for mapping: ``[{"batch": 0, "tenants": [{"tenant": …, "plan": hash,
        "units": 3, "error": ""}]}, …]``; empty if there is nothing to do or nothing wanted.
    :raises TenantInvalid: the migration doesn't name one of the tenants.
    :raises RunUnsuccessful: nothing is left to do, and tenants couldn't be planned.
    """

    inherits_from_skipmixin = True
    report_task = REPORT

    def __init__(self, *, tenants: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tenants = tenants

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """See the class."""
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.planning import Planner
        from airflow_provider_logmigrate.operators.retired import retired_units

        migration = self.load_migration()
        params = context["params"]
        tenants = chosen(migration, self.tenants or params.get("tenants") or ())
        options = self.options(migration, params, now=datetime.now(timezone.utc))
        totals = _Totals()
        entries: list[Planned] = []
        with self.open_ledger(context) as ledger:
            ledger.check()  # an outage shows here, before the source is counted
            with workbench(migration, options.streams) as bench:
                planner = Planner(bench, tenants, options, retired=retired_units(migration, ledger))
                for tenant in tenants:
                    try:
                        plan = self.narrowed(context, planner.plan(tenant), ledger)
                    except (NeedsAction, Halt) as error:
                        self.log.error("%s can't be planned: %s", tenant, error)
                        entries.append(Planned(tenant, None, error=str(error)))
                        continue
                    plan_hash = ledger.plans.save(plan)
                    units, rows = len(plan.units), plan.rows
                    ledger.runs.start(
                        run_id=run_key(context, tenant),
                        migration=migration.name,
                        tenant=tenant,
                        plan_hash=plan_hash,
                    )
                    self.log.info("%s: %s units, %s rows, plan %s", tenant, units, rows, plan_hash)
                    totals.add(plan)
                    entries.append(Planned(tenant, plan_hash, units=units, rows=rows))
            facts = totals.facts() | {
                "failed": len(entries) - totals.tenants,
                "dry_run": options.dry_run,
            }
            context["ti"].xcom_push(key="plan", value=facts)
            for warning in totals.warnings:
                self.log.warning("%s", warning)
            self.log.info("%s", facts | {"warnings": len(totals.warnings)})
            if options.dry_run or not totals.units:
                return self._end(context, ledger, entries, dry_run=options.dry_run)
        return batches(entries, most=self.most_batches(migration))

    def options(
        self, migration: Migration, params: Mapping[str, Any], *, now: datetime
    ) -> RunOptions:
        """Streams and days to plan."""
        return RunOptions.of(migration, params, now=now)

    def narrowed(self, context: Context, plan: Plan, ledger: Ledger) -> Plan:  # noqa: ARG002
        """What of a tenant's plan is to be done: all of it."""
        return plan

    def most_batches(self, migration: Migration) -> int:  # noqa: ARG002
        """How many mapped tasks each step may have."""
        return MAX_BATCHES

    def _end(
        self, context: Context, ledger: Ledger, entries: list[Planned], *, dry_run: bool
    ) -> list[dict[str, Any]]:
        """End every tenant's run here: no task follows that would do it."""
        for entry in entries:
            key = run_key(context, entry.tenant)
            end = RunEnd(ledger, self.migration, entry.tenant, key=key, log=self.log)
            if entry.plan is None:
                end.without_plan(entry.error)
            else:
                end.of_plan(entry.plan, dry_run=dry_run, copied={}, swap={}, task_states=())
        if failed := [entry for entry in entries if entry.plan is None]:
            raise RunUnsuccessful(
                f"{len(failed)} of {len(entries)} tenants can't be planned: "
                + "; ".join(f"{entry.tenant}: {entry.error}" for entry in failed[:3]),
                where=self.migration,
            )
        self.log.info("Nothing further to do: %s", "dry run" if dry_run else "no units")
        ti = context["ti"]
        ti.xcom_push(key="return_value", value=[])
        self.skip(ti=ti, tasks=self.get_direct_relatives(upstream=False))
        return []


@dataclass(slots=True)
class _Totals:
    """Sums over the plans, which themselves aren't kept: there may be thousands."""

    tenants: int = 0
    units: int = 0
    rows: int = 0
    shards: int = 0
    warnings: dict[str, None] = field(default_factory=dict)

    def add(self, plan: Plan) -> None:
        self.tenants += 1
        self.units += len(plan.units)
        self.rows += plan.rows
        self.shards += plan.shards
        self.warnings |= dict.fromkeys(plan.warnings)

    def facts(self) -> dict[str, Any]:
        """For XCom and the approval."""
        shown = list(self.warnings)[:WARNINGS]
        if (more := len(self.warnings) - len(shown)) > 0:
            shown.append(f"and {more} more, in the log")
        return {
            "tenants": self.tenants,
            "units": self.units,
            "rows": self.rows,
            "shards": self.shards,
            "warnings": shown,
        }


def chosen(migration: Migration, wanted: Sequence[str]) -> list[str]:
    """The tenants a run is for, in the configuration's order; all of them if none is named.

    :raises TenantInvalid: the migration doesn't name one of them.
    """
    known = dict.fromkeys(migration.tenants)
    if unknown := [tenant for tenant in dict.fromkeys(wanted) if tenant not in known]:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise TenantInvalid(
            f"the migration doesn't name {', '.join(map(repr, unknown[:5]))}{more}",
            where="run parameter tenants",
            next_step="name tenants of the migration, or leave tenants out for all of them",
        )
    picked = set(wanted) or known
    return [tenant for tenant in known if tenant in picked]
