"""The journal of one attempt: what the copy loop must keep, kept in the ledger first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Cursor, Phase
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Rejected, SourceFinding
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.ledger.ledger import Ledger


class LedgerJournal:
    """Implements :class:`airflow_provider_logmigrate.core.ports.Journal` for one attempt.

    The ledger comes first because only it checks the fence: what reaches ``on_checkpoint`` was
    accepted from the newest attempt.

    :param attempt: fencing token, from :meth:`Units.begin_attempt`; the unit must be claimed.
    :param on_progress: shows progress (log, task state).
    :param on_checkpoint: a second place for the checkpoint's JSON (task state). An error it raises
        ends the copy, with the checkpoint safe in the ledger.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        migration: str,
        attempt: int,
        on_progress: Callable[[Progress], None],
        on_checkpoint: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._migration = migration
        self._attempt = attempt
        self._on_progress = on_progress
        self._on_checkpoint = on_checkpoint

    def dead_letters(self, plan: UnitPlan, rejected: Sequence[Rejected]) -> None:
        """See the port. :raises Fenced: a newer attempt holds the unit."""
        self._ledger.dead_letters.add(self._migration, plan, rejected, attempt=self._attempt)

    def findings(self, plan: UnitPlan, found: Sequence[SourceFinding]) -> None:
        """See the port. :raises Fenced: a newer attempt holds the unit."""
        self._ledger.findings.add(self._migration, plan.key, found, attempt=self._attempt)

    def checkpoint(
        self,
        plan: UnitPlan,
        *,
        cursor: Cursor | None,
        counters: Counters,
        upper: datetime,
        copied: bool,
    ) -> None:
        """See the port. :raises Fenced: a newer attempt holds the unit."""
        record = Checkpoint(
            unit=plan.key,
            definition=plan.definition,
            phase=Phase.COPIED if copied else Phase.COPYING,
            attempt=self._attempt,
            upper=upper.isoformat(),
            cursor=cursor,
            counters=counters,
        )
        self._ledger.units.checkpoint(self._migration, record)
        if self._on_checkpoint is not None:
            self._on_checkpoint(record.to_json())

    def progress(self, progress: Progress) -> None:
        """See the port. :raises Fenced: a newer attempt holds the unit.

        Checked first: where nothing moved there is no checkpoint to learn it from, and showing may
        wait for a supervisor that is gone.
        """
        self._ledger.units.check(self._migration, progress.unit, attempt=self._attempt)
        self._on_progress(progress)
