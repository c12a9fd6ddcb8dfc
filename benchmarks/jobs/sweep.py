"""A sweep of one table for all tenants: reading alone, or the whole of it without Airflow.

``whole``: plan, write, settle; else the rows go nowhere, and reading ends early when time is up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Interrupted
from airflow_provider_logmigrate.core.sweep import SweepPlan
from airflow_provider_logmigrate.core.sweep_ports import MixedChunk, OpenUnit
from airflow_provider_logmigrate.hooks.assembly import Workbench
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.operators.options import RunOptions
from airflow_provider_logmigrate.operators.sweep_planning import plan_sweep
from airflow_provider_logmigrate.operators.sweeping import run_sweep
from airflow_provider_logmigrate.stores.search.client import path
from benchmarks.jobs.opening import opened, opened_ledger
from benchmarks.jobs.read import _ignore


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Plan the sweep; delete its indices, which the work makes."""
    with opened({**spec, "strategy": "sweep"}) as bench, opened_ledger(spec) as ledger:
        options = RunOptions.of(bench.migration, {}, now=datetime.now(timezone.utc))
        planned = plan_sweep(bench, ledger, options)
        if planned is None:
            raise LookupError("there is nothing to sweep")
        for unit in planned.plan.units:
            bench.client.request("DELETE", path(unit.index), expected=(404,))
        if spec["whole"]:
            yield lambda: _sweep(bench, ledger, options)
        else:
            yield lambda: _read(bench, planned.plan, budget=float(spec["budget"]))


def _sweep(bench: Workbench, ledger: Ledger, options: RunOptions) -> dict[str, Any]:
    outcomes, _ = run_sweep(bench, ledger, options)
    return {
        "rows": sum(outcome.counters.documents for outcome in outcomes),
        "rejected": sum(outcome.counters.rejected for outcome in outcomes),
    }


def _read(bench: Workbench, plan: SweepPlan, *, budget: float) -> dict[str, Any]:
    rows = 0
    stop = Stop()
    planned = {(u.unit.tenant, u.unit.period.label): u for u in plan.units}
    opened_units: dict[tuple[str, str], OpenUnit] = {}

    def find(tenant: str, label: str) -> OpenUnit | None:
        place = (tenant, label)
        if place not in opened_units and (unit := planned.get(place)):
            framing = bench.target.framing_of(unit)
            opened_units[place] = OpenUnit(len(opened_units), unit, framing)
        return opened_units.get(place)

    def emit(chunk: MixedChunk) -> None:
        nonlocal rows
        rows += chunk.count
        stop.check("read")

    alarm = threading.Timer(budget, stop.set, ["time is up"])
    alarm.daemon = True
    alarm.start()
    whole = True
    try:
        for part in plan.parts:
            bench.source.parts().read_part(
                plan,
                part,
                after=part.start,
                find=find,
                emit=emit,
                report=_ignore,
                stop=stop,
                chunk_bytes=lambda: bench.migration.limits.chunk_bytes,
                before_page=_no_pause,
            )
    except Interrupted:
        whole = False
    finally:
        alarm.cancel()
    return {"rows": rows, "whole": whole}


def _no_pause() -> None:
    """Nothing else wants the source."""
