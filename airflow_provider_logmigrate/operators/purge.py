"""PurgePlanOperator and PurgeSourceOperator: proven rows leave the source, by a plan."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.utils.skipmixin import SkipMixin

from airflow_provider_logmigrate.core.errors import PlanUnusable, SourceUnavailable
from airflow_provider_logmigrate.operators.base import (
    StoppableOperator,
    TenantOperator,
    run_key,
)
from airflow_provider_logmigrate.operators.options import read_day

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.core.purge import PurgePlan
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.operators.purge_unit import PurgeReport


class PurgePlanOperator(TenantOperator, SkipMixin):
    """Plan a purge: which units' rows may leave the source, and why the others stay.

    Deletes nothing. The plan is kept in the ledger by its hash and printed to the log. The tasks
    behind it are skipped if nothing may go, or if nobody is going to approve: no plan is carried
    out that no person has seen.

    :param before: only periods that end by the start of this day (``YYYY-MM-DD``); default: run
        parameter ``before``, else every period that is old enough.
    :param quoted: hash of a plan that was seen before and is to be carried out as it is; default:
        run parameter ``plan``, else a new plan is made.
    :param approved_later: a person approves the plan between this task and the next.
    :returns: ``{"plan": hash, "tenant": …, "units": …, "rows": …, "kept": …}``.
    :raises PlanUnusable: the quoted plan isn't there, or is another tenant's.
    """

    inherits_from_skipmixin = True
    template_fields = ("tenant", "before", "quoted")

    def __init__(
        self,
        *,
        before: str | None = None,
        quoted: str | None = None,
        approved_later: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.before = before
        self.quoted = quoted
        self.approved_later = approved_later

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.operators.purge_plan import plan_facts
        from airflow_provider_logmigrate.reports import purge_plan_text

        params = context["params"]
        quoted = self.quoted or params.get("plan")
        with self.open_ledger(context) as ledger:
            if quoted:
                plan = _load(ledger, quoted, self.migration, self.tenant)
            else:
                plan = self._make(ledger, read_day(self.before or params.get("before"), "before"))
            plan_hash = ledger.deletions.plans.save(plan)
        self.log.info("%s", purge_plan_text(plan))
        facts = plan_facts(plan, plan_hash)
        if not plan.units or not (quoted or self.approved_later):
            self.log.info("Nothing is deleted: %s", _why_nothing(plan))
            ti = context["ti"]
            ti.xcom_push(key="return_value", value=facts)
            self.skip(ti=ti, tasks=self.get_direct_relatives(upstream=False))
        return facts

    def _make(self, ledger: Ledger, before: date | None) -> PurgePlan:
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.purge_plan import make_purge_plan

        migration = self.load_migration()
        now = datetime.now(timezone.utc)
        with workbench(migration, migration.streams) as bench:
            return make_purge_plan(bench, ledger, self.tenant, before=before, now=now)


class PurgeSourceOperator(StoppableOperator, TenantOperator):
    """Delete from the source what a purge plan names, each row proven once more.

    Before each unit and in each deleting transaction everything that forbids a deletion is looked
    at again: certificate, cut-over, age, legal holds, fencing token, and for every single row
    whether it is the version whose fingerprint is its document's. A row that can't be proven stays,
    with everything that belongs to it, and is counted with its reason. Stopped or killed at any
    point, the next run finishes the plan.

    :param plan_hash: the plan to carry out, as :class:`PurgePlanOperator` returned it.
    :returns: deleted rows by table and by unit, what stayed and why, deleted objects.
    :raises PlanUnusable: no such plan; units may not be purged any more, the others are; or rows
        that nobody could prove kept everything.
    :raises SourceUnavailable: objects couldn't be deleted yet; the retry goes on with them.
    """

    template_fields = ("tenant", "plan_hash")

    def __init__(self, *, plan_hash: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_hash = plan_hash

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.core.clock import SystemClock
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.purge_unit import carry_out

        migration = self.load_migration()
        with self.open_ledger(context) as ledger:
            plan = _load(ledger, self.plan_hash, self.migration, self.tenant)
            with workbench(migration, migration.streams, stop=self._stop) as bench:
                report = carry_out(
                    bench,
                    ledger,
                    plan,
                    plan_hash=self.plan_hash,
                    holder=run_key(context),
                    clock=SystemClock(),
                    stop=self._stop,
                    log=self.log,
                )
            gone = any(ledger.deletions.counts(self.migration, unit.key) for unit in plan.units)
        _raise_shortfall(report, plan, gone=gone)
        return report.to_json()


def _raise_shortfall(report: PurgeReport, plan: PurgePlan, *, gone: bool) -> None:
    """A plan that wasn't carried out isn't a success, though what was done stays done.

    :param gone: rows of the plan's units left, now or in an earlier attempt.
    """
    where = f"{plan.migration}, tenant {plan.tenant}"
    if report.objects_left:
        # Retried by Airflow; the rows are gone already, and their keys stay in the ledger.
        raise SourceUnavailable(
            f"{report.objects_left} offloaded objects couldn't be deleted yet",
            where=where,
            next_step="nothing if it passes; else look at the object storage, then clear the task",
            report=report.to_json(),
        )
    if report.refused:
        raise PlanUnusable(
            f"{len(report.refused)} of {len(plan.units)} units weren't purged:"
            f" {'; '.join(report.refused.values())}",
            where=where,
            next_step="run the tenant's DAG where a copy, proof or cut-over is wanting, then make"
            " a new purge plan; the other units are done",
            report=report.to_json(),
        )
    stayed = dict.fromkeys(reason for outcome in report.outcomes for reason in outcome.stayed)
    if stayed and not gone:
        raise PlanUnusable(
            f"nothing was purged: {'; '.join(stayed)}",
            where=where,
            next_step="run the tenant's DAG for all its streams, then make a new purge plan",
            report=report.to_json(),
        )


def _load(ledger: Ledger, plan_hash: str, migration: str, tenant: str) -> PurgePlan:
    plan = ledger.deletions.plans.load(plan_hash)
    if (plan.migration, plan.tenant) != (migration, tenant):
        raise PlanUnusable(
            f"the purge plan is {plan.migration}'s for tenant {plan.tenant}",
            where=f"{migration}, tenant {tenant}",
            next_step="quote the hash that this tenant's purge plan printed",
        )
    return plan


def _why_nothing(plan: PurgePlan) -> str:
    if plan.units:
        return "quote the plan's hash as `plan` to carry it out"
    if plan.kept:
        return "no unit may go, for the reasons above"
    return "no copied unit has rows that could go; copy, prove and cut over first"
