"""ReportOperator: the run's last word; its state is the run's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import Halt
from airflow_provider_logmigrate.operators.base import LogMigrateOperator, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context


class RunUnsuccessful(Halt):
    """The run failed or was interrupted; the report says where."""

    advice = "read the table above and the first failed task's log, then trigger the DAG again"


class ReportOperator(LogMigrateOperator):
    """Sum a run up: a table of its units, its outcome in the ledger, and the same as XCom.

    Runs whatever happened before (trigger rule ``all_done``) and fails if the run isn't good, so
    that task state, DAG run state, ledger and report agree.

    :returns: outcome, totals and unit lines.
    :raises RunUnsuccessful: the outcome is ``failed`` or ``interrupted``.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.core.outcome import UnitReport, outcome_of
        from airflow_provider_logmigrate.ledger.runs import RunOutcome
        from airflow_provider_logmigrate.reports import render, units_table

        ti = context["ti"]
        key = run_key(context)
        states = self._states(context)
        with self.open_ledger(context) as ledger:
            planned = ti.xcom_pull(task_ids="dry_run", key="plan")
            if not planned:
                ledger.runs.start(run_id=key, migration=self.migration, tenant=self.tenant)
                report: dict[str, Any] = {"outcome": "failed", "reason": "there is no plan"}
                ledger.runs.end(key, RunOutcome.FAILED, report=report)
                raise RunUnsuccessful("the run failed: there is no plan", where=key)
            plan = ledger.plans.load(planned["hash"])
            certificates = ledger.certificates.latest_by_unit(self.migration)
            found = ledger.findings.counts(self.migration)
            # A list of one task: a bare name would unwrap the value of a run's only lane.
            lanes = ti.xcom_pull(task_ids=["backfill"])
            copied = {u: counts for lane in lanes if lane for u, counts in lane["units"].items()}
            swap = ti.xcom_pull(task_ids="swap") or {}
            units = [
                UnitReport.of(
                    unit,
                    certificates.get(unit.key),
                    copied=copied.get(unit.key, {}),
                    findings=sum(found.get(unit.key, {}).values()),
                    withheld=swap.get("withheld", {}).get(unit.key),
                )
                for unit in plan.units
            ]
            outcome = outcome_of(units, task_states=states, dry_run=planned["dry_run"])
            report = {
                "outcome": outcome.value,
                "plan": planned["hash"],
                "dry_run": planned["dry_run"],
                "cutover": swap.get("cutover"),
                "totals": {
                    name: sum(getattr(unit, name) for unit in units)
                    for name in (
                        "rows",
                        "held_back",
                        "pending",
                        "documents",
                        "rejected",
                        "findings",
                    )
                },
                "units": [unit.to_json() for unit in units],
            }
            ledger.runs.end(key, RunOutcome(outcome.value), report=report)
        title = f"{self.migration}, tenant {self.tenant}: {outcome.value}"
        self.log.info("\n%s", render(units_table(title, units)))
        if not outcome.good:
            raise RunUnsuccessful(f"the run ended {outcome.value}", where=key)
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
