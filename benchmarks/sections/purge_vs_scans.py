"""Our purge against deletes of 100 runs at a time, on the schema of an old installation."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections import leaving
from benchmarks.sections.leaving import nodes_rate
from benchmarks.statistics import paired_ratio

DATA = "leaving_old"
BATCHES = 25
"""Of theirs: each one scans the table, so some show the rate of all."""


def measure(rig: Rig) -> Measured:
    """Node executions per second, how often theirs."""
    ours: list[float] = []
    other: list[float] = []
    for number in range(rig.settings.repeats):
        for mine in (number % 2 == 0, number % 2 == 1):
            data = leaving.fresh(rig, DATA)
            cost = leaving.purge(rig, data) if mine else leaving.by_hand(rig, data, batches=BATCHES)
            (ours if mine else other).append(nodes_rate(cost))
    note = (
        "no index on workflow_run_id: each batch by hand scans the table, ours scans it once per"
        " 10,000 runs; the ratio grows with the table"
    )
    return Measured(paired_ratio(ours, other), tuple(ours), tuple(other), (note,))


SECTION = Section(
    name="purge_vs_scans",
    title="proven purge against a delete per 100 run ids, schema of an old installation",
    unit="times as fast",
    runs="node rows/s",
    required=10.0,
    better=Better.HIGHER,
    measure=measure,
)
