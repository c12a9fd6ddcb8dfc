"""Reading alone: every unit of the tenants, into nothing; ends early when time is up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Interrupted
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import ReadRequest, SourceFinding, TimeRange
from airflow_provider_logmigrate.hooks.assembly import Workbench
from benchmarks.jobs.opening import opened, plan_of


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """List the units."""
    with opened(spec) as bench:
        units = [unit for tenant in spec["tenants"] for unit in plan_of(bench, tenant).units]
        yield lambda: _read(bench, units, budget=float(spec["budget"]))


def _read(bench: Workbench, units: list[UnitPlan], *, budget: float) -> dict[str, Any]:
    rows = 0
    stop = Stop()

    def emit(chunk: Chunk) -> None:
        nonlocal rows
        rows += chunk.count
        stop.check("read")

    alarm = threading.Timer(budget, stop.set, ["time is up"])
    alarm.daemon = True
    alarm.start()
    whole = True
    try:
        for unit in units:
            part = TimeRange(unit.unit.period.start, unit.unit.period.end)
            bench.source.read(
                ReadRequest(unit, (part,)),
                framing=bench.target,
                emit=emit,
                report=_ignore,
                stop=stop,
            )
    except Interrupted:
        whole = False
    finally:
        alarm.cancel()
    return {"rows": rows, "whole": whole, "strategy": units[0].strategy.value}


def _ignore(finding: SourceFinding) -> None:
    """The data have no findings that matter here."""
