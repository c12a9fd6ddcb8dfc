"""A tenant's DAG with nothing to do, from trigger to success."""

from __future__ import annotations

import time

from airflow_provider_logmigrate.core.naming import dag_id
from benchmarks.errors import BenchmarkError
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.on_airflow import client, tenants
from benchmarks.sections.pairs import repeated
from benchmarks.statistics import spread
from benchmarks.wiring import MIGRATION

BEFORE_THE_DATA = {"from": "2024-01-01", "to": "2024-01-31"}


def measure(rig: Rig) -> Measured:
    """Seconds of wall time, Airflow's scheduling included."""
    airflow, name = client(rig), dag_id(MIGRATION, tenants(rig)[0])
    airflow.wait_for_dag(name)

    def run() -> float:
        began = time.perf_counter()
        state = airflow.wait_for_run(name, airflow.trigger(name, conf=BEFORE_THE_DATA))
        if state != "success":
            raise BenchmarkError(f"a run of {name} without data ended as {state}")
        return time.perf_counter() - began

    ours = repeated(rig.settings.repeats, run)
    return Measured(spread(ours).median, ours)


SECTION = Section(
    name="airflow_empty",
    title="a tenant's DAG without any data, trigger to success",
    unit="s",
    runs="s",
    required=None,
    better=Better.LOWER,
    measure=measure,
)
