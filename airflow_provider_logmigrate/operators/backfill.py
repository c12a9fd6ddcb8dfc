"""BackfillOperator: works through one lane of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from airflow_provider_logmigrate.operators.base import (
    StoppableOperator,
    TenantOperator,
    lane_plan,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.core.backfill import UnitOutcome
    from airflow_provider_logmigrate.core.plan import Plan
    from airflow_provider_logmigrate.operators.unit_copy import UnitCopier

_ENDS_THE_LANE = (Interrupted, Fenced, TargetBlocked)


class BackfillOperator(StoppableOperator, TenantOperator):
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
        with self.open_ledger(context) as ledger:
            plan = lane_plan(ledger, self.lane)
            names = dict.fromkeys(unit.unit.stream for unit in plan.units)
            streams = [migration.stream(name) for name in names]
            with workbench(migration, streams, stop=self._stop) as bench:
                bench.still_valid(plan)
                bench.put_templates()
                lane = self.lane["lane"]
                with UnitCopier(
                    context, bench, ledger, lane=lane, stop=self._stop, log=self.log
                ) as copier:
                    outcomes = copy_units(copier, plan, log=self.log)
        return {"lane": lane, "units": copied_units(outcomes)}


def copy_units(copier: UnitCopier, plan: Plan, *, log: Any) -> list[UnitOutcome]:
    """Copy a plan's units, one after another, past those that fail.

    :raises LogMigrateError: the first error, after all units; at once if it concerns them all.
    """
    outcomes: list[UnitOutcome] = []
    errors: list[LogMigrateError] = []
    for unit in plan.units:
        try:
            outcomes.append(copier.copy(unit))
        except (NeedsAction, Halt) as error:
            if isinstance(error, _ENDS_THE_LANE):
                raise
            log.error("%s failed: %s", unit.key, error)
            errors.append(error)
    for outcome in outcomes:
        counters = outcome.counters
        log.info(
            "%s: %s, %s documents, %s rejected, %.1f s",
            outcome.unit,
            outcome.action.value,
            f"{counters.documents:,}",
            counters.rejected,
            outcome.seconds,
        )
    if errors:
        log.error("%s of %s units failed", len(errors), len(plan.units))
        raise errors[0]
    return outcomes


def copied_units(outcomes: Sequence[UnitOutcome]) -> dict[str, Any]:
    """What a report needs to know of each unit, as plain JSON values."""
    return {
        outcome.unit: {
            "action": outcome.action.value,
            "seconds": round(outcome.seconds, 3),
            "findings": len(outcome.findings),
            "written": outcome.written,
            **asdict(outcome.counters),
        }
        for outcome in outcomes
    }
