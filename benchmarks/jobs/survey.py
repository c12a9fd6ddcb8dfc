"""Planning of many tenants: the source's estimates, and whole dry runs for some of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from airflow_provider_logmigrate.hooks.assembly import Workbench
from airflow_provider_logmigrate.operators.options import RunOptions
from airflow_provider_logmigrate.operators.planning import Planner
from benchmarks.jobs.opening import months_of, opened


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Open both sides."""
    with opened(spec) as bench:
        yield lambda: _survey(bench, budget=float(spec["budget"]))


def _survey(bench: Workbench, *, budget: float) -> dict[str, Any]:
    migration = bench.migration
    options = RunOptions.of(migration, {}, now=datetime.now(timezone.utc))
    names = [setup.shape.stream.name for setup in bench.setups]
    periods = months_of(migration)
    began = time.perf_counter()
    surveys = [bench.source.survey_all(name, migration.tenants, periods) for name in names]
    units = sum(len(survey.of(tenant)) for survey in surveys for tenant in migration.tenants)
    estimates = time.perf_counter() - began
    began, planned = time.perf_counter(), 0
    planner = Planner(bench, migration.tenants, options)
    for tenant in migration.tenants:
        planner.plan(tenant)
        planned += 1
        if time.perf_counter() - began > budget:
            break
    return {
        "units": units,
        "tenants": len(migration.tenants),
        "estimates": estimates,
        "planned": planned,
        "planning": time.perf_counter() - began,
    }
