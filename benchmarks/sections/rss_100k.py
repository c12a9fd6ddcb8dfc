"""Memory of a copy of 100,000 rows."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import copies


def measure(rig: Rig) -> Measured:
    """The worst peak over the idle process."""
    found = copies(rig)
    ours = tuple(cost.grown_mb for cost in found)
    return Measured(max(ours), ours, (), (f"idle size {found[0].idle_mb:.0f} MB",))


SECTION = Section(
    name="rss_100k",
    title="memory over idle, 100,000 rows",
    unit="MB",
    runs="MB",
    required=80.0,
    better=Better.LOWER,
    measure=measure,
)
