"""Our purge and restore: what their tasks do, without Airflow around it.

``step`` is ``ready`` (copy, prove and cut over one tenant's units), ``purge`` or ``restore``; with
``before`` only of periods that are over by that day. ``sessions`` delete at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timezone
from typing import Any

from airflow_provider_logmigrate.core.clock import Stop, SystemClock
from airflow_provider_logmigrate.core.cutover import plan_swap
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.hooks.assembly import Workbench
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.operators.certify import certify_unit
from airflow_provider_logmigrate.operators.purge_plan import make_purge_plan
from airflow_provider_logmigrate.operators.purge_unit import carry_out
from airflow_provider_logmigrate.operators.restore_units import bring_back, chosen_units
from airflow_provider_logmigrate.stores.search import alias
from airflow_provider_logmigrate.stores.search.client import path
from benchmarks.jobs.copy import copy_units
from benchmarks.jobs.opening import opened, opened_ledger, plan_of

_log = logging.getLogger(__name__)


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Open everything; a purge's plan is made before the work."""
    step = {"ready": _ready, "purge": _purge, "restore": _restore}[spec["step"]]
    with opened(spec) as bench, opened_ledger(spec) as ledger:
        settings = bench.migration.purge
        assert settings is not None
        settings = replace(settings, sessions=spec.get("sessions", settings.sessions))
        bench = replace(bench, migration=replace(bench.migration, purge=settings))  # noqa: PLW2901
        yield step(bench, ledger, spec["tenant"], spec.get("before"))


def _ready(bench: Workbench, ledger: Ledger, tenant: str, _: str | None) -> Callable[[], Any]:
    plan = plan_of(bench, tenant)
    bench.put_templates()
    for unit in plan.units:
        bench.client.request("DELETE", path(unit.index), expected=(404,))

    def work() -> dict[str, Any]:
        done = copy_units(bench, ledger, plan.units)
        plan_hash = ledger.plans.save(plan)
        verdicts = {
            certify_unit(bench, ledger, unit, plan_hash=plan_hash, sample=0).verdict.value
            for unit in plan.units
        }
        names = sorted({name for unit in plan.units for name in (unit.alias, unit.tenant_alias)})
        current, indices = alias.current_aliases(bench.client, names)
        alias.apply(bench.client, plan_swap(plan.units, current=current, indices=indices).actions)
        return done | {"verdicts": sorted(verdicts)}

    return work


def _purge(bench: Workbench, ledger: Ledger, tenant: str, before: str | None) -> Callable[[], Any]:
    day = date.fromisoformat(before) if before else None
    plan = make_purge_plan(bench, ledger, tenant, before=day, now=datetime.now(timezone.utc))
    plan_hash = ledger.deletions.plans.save(plan)

    def work() -> dict[str, Any]:
        report = carry_out(
            bench,
            ledger,
            plan,
            plan_hash=plan_hash,
            holder="benchmarks",
            clock=SystemClock(),
            stop=Stop(),
            log=_log,
        )
        return {
            "rows": report.rows,
            "planned": plan.rows,
            "stayed": sum(sum(outcome.stayed.values()) for outcome in report.outcomes),
            "batches": sum(outcome.batches for outcome in report.outcomes),
            "longest": max((outcome.longest for outcome in report.outcomes), default=0.0),
        }

    return work


def _restore(
    bench: Workbench, ledger: Ledger, tenant: str, before: str | None
) -> Callable[[], Any]:
    def work() -> dict[str, Any]:
        units = [
            key
            for key in chosen_units(ledger, bench.migration, tenant, None)
            if not before or Unit.from_key(key).period.end.isoformat()[:10] <= before
        ]
        outcomes = bring_back(bench, ledger, units, holder="benchmarks", stop=Stop(), log=_log)
        return {"rows": sum(outcome.rows for outcome in outcomes)}

    return work
