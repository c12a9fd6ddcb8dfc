"""The automatic read strategy against the others, on present and old schemas, four tenants.

A sweep reads all tenants in one pass, the others one after another.
"""

from __future__ import annotations

from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.sweep import swept_streams
from benchmarks.child import Cost
from benchmarks.results import Better
from benchmarks.rig import NODES, Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.sweep import sweep_read
from benchmarks.statistics import spread

CANDIDATES = {
    "old": ("keyset", "by_parent", "by_key", "sweep"),
    "old_indexed": ("keyset", "by_parent", "by_key", "sweep"),
    "fresh": ("keyset", "by_parent", "by_key", "sweep"),
}
"""Data set -> strategies that can be forced on it."""
BUDGET = 2.0
"""Seconds of reading after which a slow one has shown its rate."""


def measure(rig: Rig) -> Measured:
    """The worst of: best rate over the automatic choice's rate."""
    worst: tuple[float, tuple[float, ...], tuple[float, ...]] = (0.0, (), ())
    notes = []
    for name, strategies in CANDIDATES.items():
        rates: dict[str, list[float]] = {strategy: [] for strategy in strategies}
        chosen = _automatic(rig, name)
        for _ in range(rig.settings.repeats):
            for strategy in strategies:
                cost = _read(rig, name, strategy, budget=BUDGET)
                rates[strategy].append(cost.found["rows"] / cost.seconds)
        medians = {strategy: spread(found).median for strategy, found in rates.items()}
        best = max(medians, key=lambda strategy: medians[strategy])
        listed = ", ".join(f"{s} {m:,.0f}" for s, m in medians.items())
        notes.append(f"{name}: {listed} rows/s; the choice is {chosen}")
        factor = medians[best] / max(medians[chosen], 1.0)
        worst = max(worst, (factor, tuple(rates[chosen]), tuple(rates[best])))
    factor, ours, other = worst
    return Measured(factor, ours, other, tuple(notes))


def _automatic(rig: Rig, name: str) -> str:
    """What preflight chooses, or a sweep where one serves all tenants better."""
    found = ReadStrategy(_read(rig, name, None, budget=0.0).found["strategy"])
    tenants = len(rig.datasets.get(name).tenants)
    return "sweep" if swept_streams({NODES: found}, {}, tenants=tenants) else found.value


def _read(rig: Rig, name: str, strategy: str | None, *, budget: float) -> Cost:
    if strategy == "sweep":
        return sweep_read(rig, name, budget=budget)
    data = rig.datasets.get(name)
    job = rig.job("read", data, url="", tenants=list(data.tenants), budget=budget)
    return rig.run(job | ({"strategy": strategy} if strategy else {}))


SECTION = Section(
    name="strategy_choice",
    title="fastest read strategy against the automatic choice, worst of three schemas",
    unit="times as fast",
    runs="rows/s",
    required=1.2,
    better=Better.LOWER,
    measure=measure,
)
