"""Memory of a copy of a million rows: flat if it is that of 100,000."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import rate


def measure(rig: Rig) -> Measured:
    """The peak over the idle process, of one run."""
    cost = rig.copy("million")
    note = f"{cost.found['rows']:,} rows at {rate(cost):,.0f} documents/s"
    return Measured(cost.grown_mb, (cost.grown_mb,), (), (note,))


SECTION = Section(
    name="rss_1m",
    title="memory over idle, 1,000,000 rows",
    unit="MB",
    runs="MB",
    required=80.0,
    better=Better.LOWER,
    measure=measure,
    full_only=True,
)
