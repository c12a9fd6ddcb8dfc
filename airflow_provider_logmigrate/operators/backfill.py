"""BackfillOperator: works through one lane of units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import (
    Fenced,
    Halt,
    Interrupted,
    LogMigrateError,
    NeedsAction,
    TargetBlocked,
)
from airflow_provider_logmigrate.operators.base import StoppableOperator, lane_plan

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.core.backfill import UnitOutcome

_ENDS_THE_LANE = (Interrupted, Fenced, TargetBlocked)


class BackfillOperator(StoppableOperator):
    """Copy a lane's units, one after another; mapped over the lanes of a plan.

    Resumable and idempotent: checkpoints go to task state (survives a retry) and to the ledger
    (survives the run); after any kill the next attempt goes on from the newest one. SIGTERM stops
    it within a second at a durable checkpoint. An error that concerns one unit doesn't keep the
    lane's other units from being copied; the task fails at the end and names them.

    :param lane: ``{"lane": number, "plan": hash, "units": [keys]}``.
    :returns: counts and what each unit needed.
    """

    def __init__(self, *, lane: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lane = lane

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class. :raises LogMigrateError: the first error, after the whole lane."""
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.unit_copy import UnitCopier

        self.push_link(context)
        migration = self.load_migration()
        outcomes: list[UnitOutcome] = []
        errors: list[tuple[str, LogMigrateError]] = []
        with self.open_ledger(context) as ledger:
            plan = lane_plan(ledger, self.lane)
            names = dict.fromkeys(unit.unit.stream for unit in plan.units)
            with workbench(migration, [migration.stream(name) for name in names]) as bench:
                bench.still_valid(plan)
                bench.put_templates()
                copier = UnitCopier(
                    context, bench, ledger, lane=self.lane["lane"], stop=self._stop, log=self.log
                )
                for unit in plan.units:
                    try:
                        outcomes.append(copier.copy(unit))
                    except (NeedsAction, Halt) as error:
                        if isinstance(error, _ENDS_THE_LANE):
                            raise
                        self.log.error("%s failed: %s", unit.key, error)
                        errors.append((unit.key, error))
        for outcome in outcomes:
            counters = outcome.counters
            self.log.info(
                "%s: %s, %s documents, %s rejected, %.1f s",
                outcome.unit,
                outcome.action.value,
                f"{counters.documents:,}",
                counters.rejected,
                outcome.seconds,
            )
        if errors:
            self.log.error("%s of %s units failed", len(errors), len(plan.units))
            raise errors[0][1]
        return _summary(self.lane["lane"], outcomes)


def _summary(lane: int, outcomes: list[UnitOutcome]) -> dict[str, Any]:
    return {
        "lane": lane,
        "units": {
            outcome.unit: {
                "action": outcome.action.value,
                "seconds": round(outcome.seconds, 3),
                "findings": len(outcome.findings),
                "written": outcome.written,
                **asdict(outcome.counters),
            }
            for outcome in outcomes
        },
    }
