"""The journal of one attempt at a part of a sweep: what must be kept, kept in the ledger first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Rejected, SourceFinding
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.core.sweep import Part
from airflow_provider_logmigrate.core.sweep_ports import PartRecord
from airflow_provider_logmigrate.ledger.ledger import Ledger


class LedgerPartJournal:
    """Implements :class:`airflow_provider_logmigrate.core.sweep_ports.PartJournal`.

    Two fences hold: the part is held by the attempt, and every unit by the sweep's number, which
    all parts and attempts of a sweep share. An attempt of a tenant's own backfill that begins after
    the sweep was planned has a higher number and takes its units over.

    :param number: of the sweep.
    :param attempt: fencing token, from :meth:`Units.begin_attempt`; the part must be claimed.
    :param on_progress: shows progress (log, task state).
    :param on_checkpoint: a second place for the position's JSON (task state).
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        migration: str,
        number: int,
        part: Part,
        attempt: int,
        holder: str,
        on_progress: Callable[[Progress], None],
        on_checkpoint: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._ledger, self._migration = ledger, migration
        self._number, self._part = number, part
        self._attempt, self._holder = attempt, holder
        self._on_progress, self._on_checkpoint = on_progress, on_checkpoint

    def open(self, plan: UnitPlan) -> bool:
        """See the port. :raises Fenced: a newer attempt holds the part."""
        parts, units = self._ledger.sweep_parts, self._ledger.units
        parts.open_unit(self._number, self._part, plan.key, attempt=self._attempt)
        try:
            units.claim(self._migration, plan, attempt=self._number, holder=self._holder)
        except Fenced:
            return False
        return True

    def leave(self, plan: UnitPlan, reason: str) -> None:
        """See the port. :raises Fenced: a newer attempt holds the part."""
        self._ledger.sweep_parts.leave_unit(
            self._number, self._part, plan.key, reason, attempt=self._attempt
        )

    def dead_letters(self, plan: UnitPlan, rejected: Sequence[Rejected]) -> None:
        """See the port. :raises Fenced: a newer attempt holds the unit."""
        self._ledger.dead_letters.add(self._migration, plan, rejected, attempt=self._number)

    def findings(self, plan: UnitPlan, found: Sequence[SourceFinding]) -> None:
        """See the port. :raises Fenced: a newer attempt holds the unit."""
        self._ledger.findings.add(self._migration, plan.key, found, attempt=self._number)

    def checkpoint(self, record: PartRecord, *, swept: bool) -> None:
        """See the port. :raises Fenced: a newer attempt holds the part."""
        self._ledger.sweep_parts.checkpoint(
            self._number, self._part, record, swept=swept, attempt=self._attempt
        )
        if self._on_checkpoint is not None:
            self._on_checkpoint(
                {"sweep": self._number, "part": self._part.number, "place": str(record.place)}
            )

    def progress(self, progress: Progress) -> None:
        """See the port. :raises Fenced: a newer attempt holds the part."""
        self._ledger.sweep_parts.check(self._number, self._part, attempt=self._attempt)
        self._on_progress(progress)
