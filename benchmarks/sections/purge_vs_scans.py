"""Our purge against deletes of 100 runs at a time, with the indexes of an old installation."""

from __future__ import annotations

from benchmarks.datasets import OTHERS
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections import leaving
from benchmarks.sections.leaving import nodes_rate
from benchmarks.statistics import paired_ratio

DATA = "leaving_among"
BATCHES = 5
"""Of theirs: each one scans the table, so some show the rate of all. Ours takes what they left."""


def measure(rig: Rig) -> Measured:
    """Node executions per second, how often theirs."""
    ours: list[float] = []
    other: list[float] = []
    for _ in range(rig.settings.repeats):
        data = leaving.fresh(rig, DATA)
        other.append(nodes_rate(leaving.by_hand(rig, data, batches=BATCHES)))
        ours.append(nodes_rate(leaving.purge(rig, data)))
    note = (
        f"no index on workflow_run_id, rows of {1 + OTHERS} tenants: each batch by hand scans the"
        " table, ours scans it once per 20,000 runs; the ratio grows with the table"
    )
    return Measured(paired_ratio(ours, other), tuple(ours), tuple(other), (note,))


SECTION = Section(
    name="purge_vs_scans",
    title="proven purge against a delete per 100 run ids, indexes of an old installation",
    unit="times as fast",
    runs="node rows/s",
    required=10.0,
    better=Better.HIGHER,
    measure=measure,
)
