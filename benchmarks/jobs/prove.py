"""Our proof of copied units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from airflow_provider_logmigrate.core.backfill import upper_bound
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.verify import prove
from airflow_provider_logmigrate.hooks.assembly import Workbench
from airflow_provider_logmigrate.ledger.ledger import Ledger
from benchmarks.jobs.opening import opened, opened_ledger, plan_of
from benchmarks.wiring import MIGRATION


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Plan the units; they must have been copied."""
    with opened(spec) as bench, opened_ledger(spec) as ledger:
        plan = plan_of(bench, spec["tenant"])
        yield lambda: [_prove(bench, ledger, unit, spec) for unit in plan.units]


def _prove(
    bench: Workbench, ledger: Ledger, plan: UnitPlan, spec: Mapping[str, Any]
) -> dict[str, Any]:
    now = datetime.now(timezone.utc)
    proof = prove(
        source=bench.source,
        target=bench.target,
        plan=plan,
        upper=upper_bound(plan.unit.period, now=now, settle_lag=bench.migration.settle_lag),
        rejected=ledger.dead_letters.unresolved(MIGRATION, plan.key).rejected,
        comparer=RowComparer(bench.setup(plan.unit.stream).shape),
        sample=spec["sample"],
        seed=1,
        full=spec["full"],
    )
    return {
        "verdict": proof.verdict.value,
        "rows": proof.source.total.count,
        "sampled": proof.sampled,
    }
