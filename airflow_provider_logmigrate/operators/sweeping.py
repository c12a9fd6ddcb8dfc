"""A sweep without Airflow around it: its parts one by one, or all of it in one go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.clock import Stop, SystemClock
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.sweep_copy import PartOutcome, sweep_part
from airflow_provider_logmigrate.ledger.part_journal import LedgerPartJournal
from airflow_provider_logmigrate.operators.sweep_planning import plan_sweep
from airflow_provider_logmigrate.operators.sweep_settling import StreamReport, settle

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.progress import Progress
    from airflow_provider_logmigrate.core.sweep import Part
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.operators.options import RunOptions

_log = logging.getLogger(__name__)


class Sweeper:
    """One attempt's right to sweep parts.

    :param number: of the sweep.
    :param holder: who that is, for the people who look.
    :param on_checkpoint: see :class:`LedgerPartJournal`.
    """

    def __init__(
        self,
        bench: Workbench,
        ledger: Ledger,
        *,
        number: int,
        holder: str,
        stop: Stop,
        on_progress: Callable[[Progress], None],
        on_checkpoint: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._bench, self._ledger, self._stop = bench, ledger, stop
        self._number, self._holder = number, holder
        self._on_progress, self._on_checkpoint = on_progress, on_checkpoint
        self._clock = SystemClock()
        self._pace = bench.pace(clock=self._clock)
        self.plan = ledger.sweeps.load(number)
        self.attempt = ledger.units.begin_attempt()
        for stream in self.plan.streams:
            if bench.setup(stream.name).definition != stream.definition:
                raise PlanUnusable(
                    "columns, mapping or configuration changed since the sweep was planned",
                    where=stream.name,
                    next_step="trigger the sweep's DAG again: its plan_sweep task makes a new plan",
                )

    def sweep(self, part: Part) -> PartOutcome:
        """Claim a part and read it from its last checkpoint to its end.

        :raises Fenced: a newer attempt has the part.
        """
        state = self._ledger.sweep_parts.claim(
            self._number, part, attempt=self.attempt, holder=self._holder
        )
        if state.swept:
            return PartOutcome(part, state.record.counters, state.record.skipped, 0.0, 0)
        _log.info("%s: going on behind %s", part.key, state.record.place)
        return sweep_part(
            source=self._bench.source.parts(),
            target=self._bench.target,
            journal=LedgerPartJournal(
                ledger=self._ledger,
                migration=self.plan.migration,
                number=self._number,
                part=part,
                attempt=self.attempt,
                holder=self._holder,
                on_progress=self._on_progress,
                on_checkpoint=self._on_checkpoint,
            ),
            plan=self.plan,
            part=part,
            previous=state.record,
            limits=self._bench.migration.limits.copy,
            clock=self._clock,
            stop=self._stop,
            pace=self._pace,
        )


def run_sweep(
    bench: Workbench,
    ledger: Ledger,
    options: RunOptions,
    *,
    holder: str = "a process of its own",
    stop: Stop | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> tuple[Sequence[PartOutcome], Sequence[StreamReport]]:
    """Plan, sweep and settle in one go, one part after another, without Airflow.

    :returns: what became of each part and each stream; nothing where nothing is to be swept.
    """
    stop = stop or Stop()
    planned = plan_sweep(bench, ledger, options)
    if planned is None:
        return (), ()
    bench.put_templates()
    sweeper = Sweeper(
        bench, ledger, number=planned.number, holder=holder, stop=stop, on_progress=on_progress
    )
    try:
        outcomes = [sweeper.sweep(part) for part in planned.plan.parts]
    finally:
        reports = settle(bench, ledger, number=planned.number, holder=holder, stop=Stop())
    return outcomes, reports
