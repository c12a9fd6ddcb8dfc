"""The pause between two units of a lane, in a real task under Airflow's supervisor."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import psycopg

from airflow_provider_logmigrate.core.naming import dag_id
from benchmarks.errors import BenchmarkError
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.on_airflow import client, tenants
from benchmarks.statistics import spread
from benchmarks.wiring import MIGRATION

_EVENTS = (
    "SELECT action, extract(epoch FROM at)::float8 FROM logmigrate.history"
    " WHERE subject LIKE %s AND action IN ('unit.claimed', 'unit.copied') ORDER BY at, id"
)


def measure(rig: Rig) -> Measured:
    """Mean milliseconds from a unit's end in the ledger to the next one's beginning."""
    airflow = client(rig)
    gaps, whole = [], []
    for tenant in tenants(rig)[: rig.settings.repeats]:
        name = dag_id(MIGRATION, tenant)
        airflow.wait_for_dag(name)
        state = airflow.wait_for_run(name, airflow.trigger(name))
        if state != "success":
            raise BenchmarkError(f"the run of {name} ended as {state}")
        found = _history(rig, tenant)
        gaps.append(1000 * _mean_gap(found))
        claims = [at for action, at in found if action == "unit.claimed"]
        whole.append(1000 * (claims[-1] - claims[0]) / (len(claims) - 1))
    note = (
        f"a unit of a few rows takes {spread(whole).median:.0f} ms in all, most of it the engine's "
        "work for a new index"
    )
    return Measured(spread(gaps).median, tuple(gaps), (), (note,))


def _history(rig: Rig, tenant: str) -> list[tuple[str, float]]:
    dsn = rig.ledger.dsn("airflow_ledger")
    with psycopg.connect(dsn) as connection:
        rows: list[Any] = connection.execute(_EVENTS, [f"%{tenant}%"]).fetchall()
    return [(str(action), float(at)) for action, at in rows]


def _mean_gap(events: list[tuple[str, float]]) -> float:
    gaps = [
        later - earlier
        for (ended, earlier), (began, later) in pairwise(events)
        if (ended, began) == ("unit.copied", "unit.claimed")
    ]
    if not gaps:
        raise BenchmarkError(f"no unit followed another one: {events[:4]}")
    return sum(gaps) / len(gaps)


SECTION = Section(
    name="unit_gap",
    title="mean gap between two units of a lane",
    unit="ms",
    runs="ms",
    required=50.0,
    better=Better.LOWER,
    measure=measure,
)
