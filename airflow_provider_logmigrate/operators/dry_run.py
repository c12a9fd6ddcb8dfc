"""DryRunOperator: makes the plan that every later step quotes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.utils.skipmixin import SkipMixin

from airflow_provider_logmigrate.operators.base import TenantOperator, run_key
from airflow_provider_logmigrate.operators.links import REPORT_TASK
from airflow_provider_logmigrate.operators.options import RunOptions

if TYPE_CHECKING:
    from airflow.sdk import Context


class DryRunOperator(TenantOperator, SkipMixin):
    """Plan a tenant's migration: units, rows, bytes, shards, read strategies, warnings.

    Reads from source and target, writes only the plan into the ledger. Repeated without a change
    it yields the same plan hash. The plan is printed to the log and pushed as XCom ``plan``.

    :param streams: names of streams; default: run parameter ``streams``, else all.
    :param first, last: days, both included; default: run parameters ``from`` and ``to``, else
        the migration's range.
    :param plan_only: stop after the plan; default: run parameter ``dry_run``.
    :returns: lanes for mapping: ``[{"lane": 0, "plan": hash, "units": [keys]}, …]``; empty if
        there is nothing to do or nothing wanted.
    """

    inherits_from_skipmixin = True

    def __init__(
        self,
        *,
        streams: Sequence[str] | None = None,
        first: str | None = None,
        last: str | None = None,
        plan_only: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.streams = streams
        self.first = first
        self.last = last
        self.plan_only = plan_only

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """See the class."""
        from airflow_provider_logmigrate.core.lanes import spread
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.planning import make_plan
        from airflow_provider_logmigrate.operators.retired import retired_units
        from airflow_provider_logmigrate.reports import plan_text

        self.push_link(context)
        migration = self.load_migration()
        params = dict(context["params"])
        given = {
            "streams": self.streams,
            "from": self.first,
            "to": self.last,
            "dry_run": self.plan_only,
        }
        params |= {name: value for name, value in given.items() if value is not None}
        options = RunOptions.of(migration, params, now=datetime.now(timezone.utc))
        with self.open_ledger(context) as ledger, workbench(migration, options.streams) as bench:
            ledger.check()  # an outage shows here, before the source is counted
            retired = retired_units(migration, ledger)
            plan = make_plan(bench, self.tenant, options, retired=retired)
            plan_hash = ledger.plans.save(plan)
            ledger.runs.start(
                run_id=run_key(context),
                migration=migration.name,
                tenant=self.tenant,
                plan_hash=plan_hash,
            )
        self.log.info("%s", plan_text(plan))
        stop = options.dry_run or not plan.units
        ti = context["ti"]
        ti.xcom_push(
            key="plan",
            value={
                "hash": plan_hash,
                "units": len(plan.units),
                "rows": plan.rows,
                "shards": plan.shards,
                "warnings": list(plan.warnings),
                "dry_run": options.dry_run,
            },
        )
        lanes = [] if stop else spread(plan.units, lanes=migration.lanes)
        result = [
            {"lane": number, "plan": plan_hash, "units": units}
            for number, units in enumerate(lanes)
        ]
        if stop:
            self.log.info("Nothing further to do: %s", "dry run" if plan.units else "no units")
            ti.xcom_push(key="return_value", value=result)
            self.skip(
                ti=ti,
                tasks=[
                    task
                    for task in self.get_direct_relatives(upstream=False)
                    if task.task_id != REPORT_TASK
                ],
            )
        return result
