"""Ends one tenant's run, whatever DAG it was part of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_logmigrate.ledger.ledger import Ledger

_TOTALS = ("rows", "held_back", "pending", "documents", "rejected", "findings")


def good(report: Mapping[str, Any]) -> bool:
    """True if the run did what it was asked to."""
    from airflow_provider_logmigrate.core.outcome import Outcome

    return Outcome(report["outcome"]).good


class RunEnd:
    """Ends one tenant's run: its outcome and report go to the ledger, its table to the log.

    :param key: the run's key in the ledger.
    """

    def __init__(self, ledger: Ledger, migration: str, tenant: str, *, key: str, log: Any) -> None:
        self._ledger, self._migration, self._tenant = ledger, migration, tenant
        self._key, self._log = key, log

    def without_plan(self, reason: str) -> dict[str, Any]:
        """The run failed before it had a plan."""
        from airflow_provider_logmigrate.ledger.runs import RunOutcome

        runs, report = self._ledger.runs, {"outcome": "failed", "reason": reason}
        runs.start(run_id=self._key, migration=self._migration, tenant=self._tenant)
        runs.end(self._key, RunOutcome.FAILED, report=report)
        return report

    def of_plan(
        self,
        plan_hash: str,
        *,
        dry_run: bool,
        copied: Mapping[str, Any],
        swap: Mapping[str, Any],
        task_states: Sequence[str],
    ) -> dict[str, Any]:
        """Sum up what became of a plan.

        :param copied: what was counted while copying, by unit.
        :param swap: the cut-over's id and withheld units, empty if there was none.
        :param task_states: of the run's other tasks.
        """
        from airflow_provider_logmigrate.core.outcome import UnitReport, outcome_of
        from airflow_provider_logmigrate.ledger.runs import RunOutcome
        from airflow_provider_logmigrate.reports import render, units_table

        ledger = self._ledger
        plan = ledger.plans.load(plan_hash)
        keys = [unit.key for unit in plan.units]
        certificates = ledger.certificates.latest_by_unit(self._migration, units=keys)
        found = ledger.findings.counts(self._migration, units=keys)
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
        outcome = outcome_of(units, task_states=task_states, dry_run=dry_run)
        report = {
            "outcome": outcome.value,
            "plan": plan_hash,
            "dry_run": dry_run,
            "cutover": swap.get("cutover"),
            "totals": {name: sum(getattr(unit, name) for unit in units) for name in _TOTALS},
            "units": [unit.to_json() for unit in units],
        }
        ledger.runs.end(self._key, RunOutcome(outcome.value), report=report)
        title = f"{self._migration}, tenant {self._tenant}: {outcome.value}"
        self._log.info("\n%s", render(units_table(title, units)))
        return report
