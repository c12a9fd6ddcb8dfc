"""Our purge against deletes of 100 runs at a time, on the newest schema."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections import leaving
from benchmarks.sections.leaving import nodes_rate
from benchmarks.statistics import paired_ratio

DATA, SESSIONS = "leaving", 2


def measure(rig: Rig) -> Measured:
    """Node executions per second as a share of theirs; whole runs go on both sides."""
    ours, other, longest, cost = [], [], 0.0, None
    for number in range(rig.settings.repeats):
        for mine in (number % 2 == 0, number % 2 == 1):
            data = leaving.fresh(rig, DATA)
            if not mine:
                other.append(nodes_rate(leaving.by_hand(rig, data)))
                continue
            cost = leaving.purge(rig, data, sessions=SESSIONS)
            ours.append(nodes_rate(cost))
            longest = max(longest, cost.found["longest"])
    assert cost is not None
    alone = nodes_rate(leaving.purge(rig, leaving.fresh(rig, DATA)))
    rows = sum(cost.found["rows"].values())
    notes = (
        f"{rows:,} rows of whole runs in {cost.found['batches']} transactions, the longest took"
        f" {longest:.2f} s",
        f"one session, as without `purge.sessions`: {alone:,.0f} node rows/s",
        "processor time of a row: PostgreSQL"
        f" {1e6 * cost.backend / rows:.0f} us, most of it fingerprints, Python"
        f" {1e6 * cost.cpu / rows:.0f}, engine {1e6 * cost.engine / rows:.0f}",
    )
    return Measured(paired_ratio(ours, other), tuple(ours), tuple(other), notes)


SECTION = Section(
    name="purge_vs_batched",
    title="proven purge by two sessions against a delete per 100 run ids, newest schema",
    unit="of their rate",
    runs="node rows/s",
    required=0.5,
    better=Better.HIGHER,
    measure=measure,
)
