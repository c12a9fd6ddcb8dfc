"""Our backfill: what a lane's task does, without Airflow around it.

Ledger journal with its fence, checkpoints, fingerprints and dead letters are all on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow_provider_logmigrate.core.backfill import UnitOutcome, backfill_unit
from airflow_provider_logmigrate.core.checkpoint import newest
from airflow_provider_logmigrate.core.clock import Stop, SystemClock
from airflow_provider_logmigrate.core.errors import Transient
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.hooks.assembly import Workbench
from airflow_provider_logmigrate.ledger.journal import LedgerJournal
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.stores.search.client import path
from benchmarks.jobs.counting import CountingSource
from benchmarks.jobs.opening import opened, opened_ledger, plan_of
from benchmarks.wiring import MIGRATION

RETRIES = 5
"""Of a unit after an error that passes: where Airflow would start the task again."""


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Plan one tenant or several; unless ``resume`` is set, delete the units' indices first."""
    with opened(spec) as bench, opened_ledger(spec) as ledger:
        tenants = spec.get("tenants") or [spec["tenant"]]
        units = tuple(unit for tenant in tenants for unit in plan_of(bench, tenant).units)
        bench.put_templates()
        if not spec.get("resume"):
            for unit in units:
                bench.client.request("DELETE", path(unit.index), expected=(404,))
        counter = spec.get("counter")
        source = CountingSource.around(bench.source, Path(counter)) if counter else bench.source
        yield lambda: copy_units(replace(bench, source=source), ledger, units)


def copy_units(bench: Workbench, ledger: Ledger, units: Sequence[UnitPlan]) -> dict[str, Any]:
    """Copy units one after the other; what came of it."""
    outcomes, retries = [], 0
    attempt = ledger.units.begin_attempt()
    for unit in units:
        for last in (False,) * RETRIES + (True,):
            try:
                outcomes.append(_unit(bench, ledger, unit, attempt))
                break
            except Transient:
                if last:
                    raise
                retries += 1
                attempt = ledger.units.begin_attempt()
                Stop().wait(1.0, unit.key)
    return {
        "retries": retries,
        "rows": sum(o.counters.documents for o in outcomes),
        "read": sum(o.counters.read for o in outcomes),
        "rejected": sum(o.counters.rejected for o in outcomes),
        "bytes": sum(o.counters.bytes for o in outcomes),
        "actions": [o.action.value for o in outcomes],
    }


def _unit(bench: Workbench, ledger: Ledger, plan: UnitPlan, attempt: int) -> UnitOutcome:
    stored = ledger.units.claim(MIGRATION, plan, attempt=attempt, holder="benchmarks")
    previous = newest([stored], unit=plan.key, definition=plan.definition)
    if previous is not None and not bench.index_exists(plan):
        previous = None
    journal = LedgerJournal(
        ledger=ledger,
        migration=MIGRATION,
        attempt=attempt,
        on_progress=_show,
        on_checkpoint=_keep,
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
        stop=Stop(),
    )


def _show(progress: Progress) -> None:
    progress.line()


def _keep(record: dict[str, Any]) -> None:
    """Airflow's task state would take it from here."""
