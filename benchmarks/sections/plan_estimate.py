"""Dry runs of 500 tenants, 12 months, 3 streams."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import NODES, Rig
from benchmarks.section import Measured, Section
from benchmarks.statistics import spread

STREAMS = ("workflow_runs", "workflow_app_logs", NODES)
BUDGET = 20.0
"""Seconds of whole dry runs, which are then scaled to all tenants."""


def measure(rig: Rig) -> Measured:
    """Seconds for the estimates of all units."""
    data = rig.datasets.get("many")
    job = rig.job("survey", data, streams=STREAMS, budget=BUDGET)
    found = [rig.run(job).found for _ in range(rig.settings.repeats)]
    ours = tuple(float(one["estimates"]) for one in found)
    whole = spread([one["planning"] / one["planned"] for one in found]).median
    notes = (
        f"{found[0]['units']:,} units of {found[0]['tenants']} tenants",
        f"a whole dry run with its checks on the target: {whole * 1000:.0f} ms per tenant",
    )
    return Measured(spread(ours).median, ours, (), notes)


SECTION = Section(
    name="plan_estimate",
    title="estimates of 500 tenants, 12 months, 3 streams",
    unit="s",
    runs="s",
    required=10.0,
    better=Better.LOWER,
    measure=measure,
)
