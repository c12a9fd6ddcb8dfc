"""ReportOperator: the run's last word; its state is the run's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import Halt
from airflow_provider_logmigrate.operators.base import TenantOperator, run_key
from airflow_provider_logmigrate.operators.run_end import RunEnd, good

if TYPE_CHECKING:
    from airflow.sdk import Context


class RunUnsuccessful(Halt):
    """The run failed or was interrupted; the report says where."""

    advice = "read the table above and the first failed task's log, then trigger the DAG again"


class ReportOperator(TenantOperator):
    """Sum a run up: a table of its units, its outcome in the ledger, and the same as XCom.

    Runs whatever happened before (trigger rule ``all_done``) and fails if the run isn't good, so
    that task state, DAG run state, ledger and report agree.

    :returns: outcome, totals and unit lines.
    :raises RunUnsuccessful: the outcome is ``failed`` or ``interrupted``.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        ti = context["ti"]
        key = run_key(context)
        states = self._states(context)
        with self.open_ledger(context) as ledger:
            planned = ti.xcom_pull(task_ids="dry_run", key="plan")
            end = RunEnd(ledger, self.migration, self.tenant, key=key, log=self.log)
            if not planned:
                end.without_plan("there is no plan")
                raise RunUnsuccessful("the run failed: there is no plan", where=key)
            # A list of one task: a bare name would unwrap the value of a run's only lane.
            lanes = ti.xcom_pull(task_ids=["backfill"])
            report = end.of_plan(
                planned["hash"],
                dry_run=planned["dry_run"],
                copied={u: counts for lane in lanes if lane for u, counts in lane["units"].items()},
                swap=ti.xcom_pull(task_ids="swap") or {},
                task_states=states,
            )
        if not good(report):
            raise RunUnsuccessful(f"the run ended {report['outcome']}", where=key)
        return report

    def _states(self, context: Context) -> list[str]:
        """States of the run's other tasks."""
        ti = context["ti"]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])
        return [
            str(state)
            for task, state in states.get(ti.run_id, {}).items()
            if task != self.task_id and state is not None
        ]
