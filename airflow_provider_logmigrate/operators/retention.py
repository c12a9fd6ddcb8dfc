"""RetentionPlanOperator and RetentionCleanupOperator: what is too old leaves the target."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.utils.skipmixin import SkipMixin

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.operators.base import (
    LogMigrateOperator,
    StoppableOperator,
    run_key,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.core.retention_plan import RetentionPlan
    from airflow_provider_logmigrate.ledger.ledger import Ledger


class RetentionPlanOperator(LogMigrateOperator, SkipMixin):
    """Plan a retention: which indices and documents are too old, and why the others stay.

    Deletes nothing. The plan is kept in the ledger by its hash and printed to the log. The tasks
    behind it are skipped if nothing is due, or if nobody is going to approve: no plan is carried
    out that no person has seen.

    :param quoted: hash of a plan that was seen before and is to be carried out as it is; default:
        run parameter ``plan``, else a new plan is made.
    :param approved_later: a person approves the plan between this task and the next.
    :returns: ``{"plan": hash, "indices": …, "documents": …, "kept": …}``.
    :raises PlanUnusable: the quoted plan isn't there or is another migration's; or the migration
        has no retention.
    """

    inherits_from_skipmixin = True
    template_fields = ("quoted",)

    def __init__(
        self, *, quoted: str | None = None, approved_later: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.quoted = quoted
        self.approved_later = approved_later

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.reports import retention_plan_text

        quoted = self.quoted or context["params"].get("plan")
        with self.open_ledger(context) as ledger:
            plan = _load(ledger, quoted, self.migration) if quoted else self._make(ledger)
            plan_hash = ledger.retentions.save(plan)
        self.log.info("%s", retention_plan_text(plan))
        facts = {
            "plan": plan_hash,
            "indices": len(plan.items),
            "documents": plan.documents,
            "kept": len(plan.kept),
        }
        if not plan.items or not (quoted or self.approved_later):
            how = "quote the plan's hash as `plan` to carry it out" if plan.items else "none is due"
            self.log.info("Nothing is deleted: %s", how)
            ti = context["ti"]
            ti.xcom_push(key="return_value", value=facts)
            self.skip(ti=ti, tasks=self.get_direct_relatives(upstream=False))
        return facts

    def _make(self, ledger: Ledger) -> RetentionPlan:
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.retention_plan import make_retention_plan

        migration = self.load_migration()
        now = datetime.now(timezone.utc)
        with workbench(migration, migration.streams) as bench:
            return make_retention_plan(bench, ledger, now=now)


class RetentionCleanupOperator(StoppableOperator):
    """Delete from the target what a retention plan names.

    Before each index everything that forbids its deletion is looked at again: whose it is, holds,
    aliases, lifecycle policies, its documents and their age, whether their rows are still in the
    source. If it isn't exactly what was planned, it stays. An index in which everything is due is
    dropped with its aliases in one atomic call; of others the documents that are due are deleted by
    a query, which is waited for and counted. Stopped or killed at any point, the next run finishes.

    :param plan_hash: the plan to carry out, as :class:`RetentionPlanOperator` returned it.
    :returns: ``dropped`` and ``deleted`` documents by index.
    :raises PlanUnusable: no such plan, or the migration has no retention; or some of the indices
        aren't what was planned any more, the others are done.
    :raises Fenced: a newer attempt works on one of the units.
    :raises TargetRefused: the engine refuses a deletion or the snapshot.
    """

    template_fields = ("plan_hash",)

    def __init__(self, *, plan_hash: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_hash = plan_hash

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.retention_items import carry_out

        migration = self.load_migration()
        with self.open_ledger(context) as ledger:
            plan = _load(ledger, self.plan_hash, self.migration)
            with workbench(migration, migration.streams, stop=self._stop) as bench:
                report = carry_out(
                    bench,
                    ledger,
                    plan,
                    holder=run_key(context),
                    stop=self._stop,
                    log=self.log,
                )
        if report.refused:
            raise PlanUnusable(
                f"{len(report.refused)} indices aren't what was planned any more, and stay:"
                f" {'; '.join(f'{name}: {why}' for name, why in report.refused.items())}",
                where=self.migration,
                next_step="make a new retention plan; the others are done",
                report=report.to_json(),
            )
        return report.to_json()


def _load(ledger: Ledger, plan_hash: str, migration: str) -> RetentionPlan:
    plan = ledger.retentions.load(plan_hash)
    if plan.migration != migration:
        raise PlanUnusable(
            f"the retention plan is {plan.migration}'s",
            where=migration,
            next_step="quote the hash that this migration's retention plan printed",
        )
    return plan
