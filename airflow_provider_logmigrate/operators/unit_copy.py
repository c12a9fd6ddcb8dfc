"""Copies one unit for one attempt: claim, newest checkpoint, core, journal.

Shared by the tasks that copy (BackfillOperator) and those that bring a month that is still being
written up to date before they judge it (ValidateSampleOperator, AliasSwapOperator).
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.backfill import backfill_unit, upper_bound
from airflow_provider_logmigrate.core.checkpoint import Phase, newest
from airflow_provider_logmigrate.core.clock import SystemClock
from airflow_provider_logmigrate.core.errors import Fenced, LogMigrateError
from airflow_provider_logmigrate.ledger.journal import LedgerJournal
from airflow_provider_logmigrate.operators.base import run_key
from airflow_provider_logmigrate.operators.task_state import TaskState

if TYPE_CHECKING:
    from types import TracebackType

    from airflow.sdk import Context
    from typing_extensions import Self

    from airflow_provider_logmigrate.core.backfill import UnitOutcome
    from airflow_provider_logmigrate.core.checkpoint import Checkpoint
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger


class UnitCopier:
    """One attempt's right to copy units.

    :param lane: number of the lane, names the attempt's task state.
    :param stop: ends a copy at its next checkpoint.
    :ivar pace: of all its copies.
    """

    def __init__(
        self, context: Context, bench: Workbench, ledger: Ledger, *, lane: int, stop: Stop, log: Any
    ) -> None:
        self.bench, self.ledger, self.stop, self.log = bench, ledger, stop, log
        self.clock = SystemClock()
        self.pace = bench.pace(clock=self.clock)
        self._state = TaskState(
            context["task_state_store"], lane=lane, stop=stop, log=log, clock=self.clock
        )
        # Read once: what this attempt itself writes there later, the ledger had before.
        self._left = self._state.checkpoint()
        self.attempt = ledger.units.begin_attempt()
        self._holder = (
            f"{run_key(context)} lane {lane} on {socket.gethostname()} process {os.getpid()}"
        )
        log.info("Attempt %s, process %s", self.attempt, os.getpid())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what task state still waits for; behind an error only as far as that works."""
        if kind is None:
            self._state.flush()
        elif not isinstance(error, Fenced):
            try:
                self._state.flush()
            except LogMigrateError as refused:
                self.log.warning("Task state isn't up to date, the ledger is: %s", refused)

    def copy(self, plan: UnitPlan) -> UnitOutcome:
        """Claim the unit and do what it needs, going on from the newest checkpoint.

        :raises Fenced: a newer attempt has the unit.
        """
        bench, migration = self.bench, self.bench.migration
        previous = self.claim(plan)
        if previous is not None:
            self.log.info(
                "%s: %s, %s rows done by attempt %s, cursor %s",
                plan.key,
                previous.phase.value,
                f"{previous.counters.documents:,}",
                previous.attempt,
                previous.cursor,
            )
        return backfill_unit(
            source=bench.source,
            target=bench.target,
            journal=self.journal(),
            plan=plan,
            previous=previous,
            settle_lag=migration.settle_lag,
            limits=migration.limits.copy,
            clock=self.clock,
            stop=self.stop,
            pace=self.pace,
        )

    def claim(self, plan: UnitPlan) -> Checkpoint | None:
        """Take the unit over; the newest checkpoint to go on from, if any.

        :raises Fenced: a newer attempt has the unit.
        """
        stored = self.ledger.units.claim(
            self.bench.migration.name, plan, attempt=self.attempt, holder=self._holder
        )
        records = [stored, self._left]
        previous = newest(records, unit=plan.key, definition=plan.definition)
        if previous is not None and not self.bench.index_exists(plan):
            self.log.warning(
                "%s: index %s is gone since the last checkpoint: copying from the start",
                plan.key,
                plan.index,
            )
            return None
        return previous

    def journal(self) -> LedgerJournal:
        """What this attempt writes down while it copies."""
        return LedgerJournal(
            ledger=self.ledger,
            migration=self.bench.migration.name,
            attempt=self.attempt,
            on_progress=self._state.show,
            on_checkpoint=self._state.keep,
        )

    def is_copied(self, plan: UnitPlan) -> bool:
        """True if the unit's first copy is finished, and its index is there."""
        state = self.ledger.units.state(self.bench.migration.name, plan.key)
        return (
            state is not None
            and state.phase is Phase.COPIED
            and state.definition == plan.definition
            and self.bench.index_exists(plan)
        )

    def is_live(self, plan: UnitPlan) -> bool:
        """True if the unit's period is still open."""
        period = plan.unit.period
        lag = self.bench.migration.settle_lag
        return upper_bound(period, now=self.clock.now(), settle_lag=lag) < period.end
