"""Copies one unit for one attempt: claim, newest checkpoint, core, journal.

Shared by the tasks that copy (BackfillOperator) and those that bring a month that is still being
written up to date before they judge it (ValidateSampleOperator, AliasSwapOperator).
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.backfill import backfill_unit, upper_bound
from airflow_provider_logmigrate.core.certificate import FindingKind, Verdict
from airflow_provider_logmigrate.core.checkpoint import newest
from airflow_provider_logmigrate.core.clock import SystemClock
from airflow_provider_logmigrate.core.errors import Fenced, LogMigrateError
from airflow_provider_logmigrate.ledger.journal import LedgerJournal
from airflow_provider_logmigrate.operators.base import run_key
from airflow_provider_logmigrate.operators.certify import certify_unit
from airflow_provider_logmigrate.operators.task_state import TaskState

if TYPE_CHECKING:
    from types import TracebackType

    from airflow.sdk import Context
    from typing_extensions import Self

    from airflow_provider_logmigrate.core.backfill import UnitOutcome
    from airflow_provider_logmigrate.core.certificate import Certificate, ProofMode
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger

LIVE_PASSES = 3
"""Repairs of a month that is still being written before a difference counts as one."""

_MOVES = {FindingKind.MISSING.value, FindingKind.STALE.value, FindingKind.REJECTED.value}
"""What a living source does to a finished copy; extra or altered documents are never its work."""


class UnitCopier:
    """One attempt's right to copy units.

    :param lane: number of the lane, names the attempt's task state.
    :param stop: ends a copy at its next checkpoint.
    """

    def __init__(
        self, context: Context, bench: Workbench, ledger: Ledger, *, lane: int, stop: Stop, log: Any
    ) -> None:
        self._bench, self._ledger, self._stop, self._log = bench, ledger, stop, log
        self._clock = SystemClock()
        self._pace = bench.pace(clock=self._clock)
        self._state = TaskState(
            context["task_state_store"], lane=lane, stop=stop, log=log, clock=self._clock
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
                self._log.warning("Task state isn't up to date, the ledger is: %s", refused)

    def copy(self, plan: UnitPlan) -> UnitOutcome:
        """Claim the unit and do what it needs, going on from the newest checkpoint.

        :raises Fenced: a newer attempt has the unit.
        """
        bench, migration = self._bench, self._bench.migration
        stored = self._ledger.units.claim(
            migration.name, plan, attempt=self.attempt, holder=self._holder
        )
        records = [stored, self._left]
        previous = newest(records, unit=plan.key, definition=plan.definition)
        if previous is not None and not bench.index_exists(plan):
            self._log.warning(
                "%s: index %s is gone since the last checkpoint: copying from the start",
                plan.key,
                plan.index,
            )
            previous = None
        if previous is not None:
            self._log.info(
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
            journal=LedgerJournal(
                ledger=self._ledger,
                migration=migration.name,
                attempt=self.attempt,
                on_progress=self._state.show,
                on_checkpoint=self._state.keep,
            ),
            plan=plan,
            previous=previous,
            settle_lag=migration.settle_lag,
            limits=migration.limits.copy,
            clock=self._clock,
            stop=self._stop,
            pace=self._pace,
        )

    def certify(
        self, plan: UnitPlan, *, plan_hash: str, sample: int, mode: ProofMode | None = None
    ) -> Certificate:
        """Prove one unit and store the certificate.

        In a period that is still open rows settle, change and arrive between copy and proof. That
        is no fault, so what is merely missing or stale there is copied and the unit proven again,
        three times at most. A closed period isn't expected to move: its difference is a finding.
        """

        def prove() -> Certificate:
            return certify_unit(
                self._bench,
                self._ledger,
                plan,
                plan_hash=plan_hash,
                sample=sample,
                mode=mode,
                stop=self._stop,
            )

        certificate = prove()
        for _ in range(LIVE_PASSES):
            if not (self.is_live(plan) and _has_only_moved(certificate)):
                break
            self._log.info(
                "%s: the period is still open and has moved on: %s; copying and proving again",
                plan.key,
                dict(certificate.tally.counts),
            )
            self.copy(plan)
            certificate = prove()
        return certificate

    def is_live(self, plan: UnitPlan) -> bool:
        """True if the unit's period is still open."""
        period = plan.unit.period
        lag = self._bench.migration.settle_lag
        return upper_bound(period, now=self._clock.now(), settle_lag=lag) < period.end


def _has_only_moved(certificate: Certificate) -> bool:
    return certificate.verdict is Verdict.DIFFERENT and set(certificate.tally.counts) <= _MOVES
