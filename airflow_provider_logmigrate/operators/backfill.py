"""BackfillOperator: works through one lane of units."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.clock import Stop, SystemClock
from airflow_provider_logmigrate.core.errors import (
    Fenced,
    Halt,
    Interrupted,
    LogMigrateError,
    NeedsAction,
    TargetBlocked,
)
from airflow_provider_logmigrate.operators.base import LogMigrateOperator, lane_plan, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.core.backfill import UnitOutcome
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.operators.task_state import TaskState

_ENDS_THE_LANE = (Interrupted, Fenced, TargetBlocked)


class BackfillOperator(LogMigrateOperator):
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
        self._stop = Stop()

    def on_kill(self) -> None:
        """SIGTERM: ask the copy loop to checkpoint and end. Runs beside ``execute``."""
        self._stop.set("Airflow asked the task to stop")

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class. :raises LogMigrateError: the first error, after the whole lane."""
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.task_state import TaskState

        self.push_link(context)
        migration = self.load_migration()
        outcomes: list[UnitOutcome] = []
        errors: list[tuple[str, LogMigrateError]] = []
        with self.open_ledger(context) as ledger:
            plan = lane_plan(ledger, self.lane)
            names = dict.fromkeys(unit.unit.stream for unit in plan.units)
            state = TaskState(
                context["task_state_store"], lane=self.lane["lane"], stop=self._stop, log=self.log
            )
            with workbench(migration, [migration.stream(name) for name in names]) as bench:
                bench.still_valid(plan)
                bench.put_templates()
                attempt = ledger.units.begin_attempt()
                holder = (
                    f"{run_key(context)} lane {self.lane['lane']}"
                    f" on {socket.gethostname()} process {os.getpid()}"
                )
                self.log.info("Attempt %s, process %s", attempt, os.getpid())
                for unit in plan.units:
                    try:
                        outcomes.append(
                            self._unit(bench, ledger, state, unit, attempt=attempt, holder=holder)
                        )
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

    def _unit(
        self,
        bench: Workbench,
        ledger: Ledger,
        state: TaskState,
        plan: UnitPlan,
        *,
        attempt: int,
        holder: str,
    ) -> UnitOutcome:
        from airflow_provider_logmigrate.core.backfill import backfill_unit
        from airflow_provider_logmigrate.core.checkpoint import newest
        from airflow_provider_logmigrate.ledger.journal import LedgerJournal

        stored = ledger.units.claim(self.migration, plan, attempt=attempt, holder=holder)
        previous = newest([stored, state.checkpoint()], unit=plan.key, definition=plan.definition)
        if previous is not None and not bench.index_exists(plan):
            self.log.warning(
                "%s: index %s is gone since the last checkpoint: copying from the start",
                plan.key,
                plan.index,
            )
            previous = None
        if previous is not None:
            self.log.info(
                "%s: %s, %s rows done by attempt %s, cursor %s",
                plan.key,
                previous.phase.value,
                f"{previous.counters.documents:,}",
                previous.attempt,
                previous.cursor,
            )
        journal = LedgerJournal(
            ledger=ledger,
            migration=self.migration,
            attempt=attempt,
            on_progress=state.show,
            on_checkpoint=state.keep,
        )
        return backfill_unit(
            source=bench.source,
            target=bench.target,
            journal=journal,
            plan=plan,
            previous=previous,
            settle_lag=bench.migration.settle_lag,
            limits=bench.migration.limits.copy,
            clock=SystemClock(),
            stop=self._stop,
        )


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
