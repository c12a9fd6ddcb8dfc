"""TenantsReportOperator: the last word on each tenant of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.operators.base import LogMigrateOperator, run_key
from airflow_provider_logmigrate.operators.batches import Planned
from airflow_provider_logmigrate.operators.report import RunUnsuccessful
from airflow_provider_logmigrate.operators.run_end import RunEnd, good
from airflow_provider_logmigrate.operators.tenants_steps import DONE, FAILED, REPORT, pull

if TYPE_CHECKING:
    from airflow.sdk import Context


class TenantsReportOperator(LogMigrateOperator):
    """End each tenant's run: table, outcome in the ledger, and the same as XCom.

    Runs whatever happened before (trigger rule ``all_done``) and fails if one of its tenants' runs
    isn't good.

    :param batch: see :class:`TenantsStep`.
    :param steps: task ids of the steps before, in order: the first copies, the last swaps.
    :returns: outcome by tenant.
    :raises RunUnsuccessful: a tenant's outcome is ``failed`` or ``interrupted``.
    """

    template_fields = ("batch",)
    report_task = REPORT

    def __init__(self, *, batch: Any, steps: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch
        self.steps = tuple(steps)

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        states = self._states(context)
        done = {step: pull(context, step, DONE) for step in self.steps}
        failed = {step: pull(context, step, FAILED) for step in self.steps}
        copying, *_, swap = self.steps
        outcomes: dict[str, str] = {}
        bad: list[str] = []
        with self.open_ledger(context) as ledger:
            for record in self.batch["tenants"]:
                one = Planned.from_json(record)
                key = run_key(context, one.tenant)
                end = RunEnd(ledger, self.migration, one.tenant, key=key, log=self.log)
                if one.plan is None:
                    report = end.without_plan(one.error)
                else:
                    report = end.of_plan(
                        one.plan,
                        dry_run=False,
                        copied=done[copying].get(one.tenant, {}),
                        swap=done[swap].get(one.tenant, {}),
                        task_states=[
                            "success"
                            if one.tenant in done[step]
                            else _state(states[step], failed=one.tenant in failed[step])
                            for step in self.steps
                        ],
                    )
                outcomes[one.tenant] = report["outcome"]
                if not good(report):
                    bad.append(f"{one.tenant} {report['outcome']}")
        if bad:
            raise RunUnsuccessful(
                f"{len(bad)} of {len(outcomes)} tenants aren't done: {', '.join(bad[:10])}",
                where=run_key(context),
            )
        return outcomes

    def _states(self, context: Context) -> dict[str, str]:
        """How this batch's steps ended."""
        ti = context["ti"]
        found = ti.get_task_states(
            dag_id=ti.dag_id,
            run_ids=[ti.run_id],
            task_ids=list(self.steps),
            map_index=ti.map_index,
        ).get(ti.run_id, {})
        # Mapped tasks are named with their index.
        return {step: str(found.get(f"{step}_{ti.map_index}", "skipped")) for step in self.steps}


def _state(step: str, *, failed: bool) -> str:
    """State of a step for a tenant that it didn't get through."""
    if failed or step in ("failed", "upstream_failed"):
        return "failed"
    return "skipped"
