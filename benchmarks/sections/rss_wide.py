"""Memory of a copy with rows of 5 MB, a hundred of them one after another."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section

COPIES = 2
"""Nothing is compared, and each one is large."""


def measure(rig: Rig) -> Measured:
    """The worst peak over the idle process."""
    found = [rig.copy("wide") for _ in range(min(COPIES, rig.settings.repeats))]
    ours = tuple(cost.grown_mb for cost in found)
    retries = sum(int(cost.found["retries"]) for cost in found)
    notes = (
        f"{found[0].found['rows']:,} documents, {found[0].found['bytes'] / 1e6:,.0f} MB; the engine"
        f" was out of memory for a moment in {retries} of {len(found)} copies, which began again"
        " where they were",
    )
    return Measured(max(ours), ours, (), notes)


SECTION = Section(
    name="rss_wide",
    title="memory over idle, 2,000 rows with 100 of 5 MB in a row",
    unit="MB",
    runs="MB",
    required=160.0,
    better=Better.LOWER,
    measure=measure,
)
