"""What a row costs our own process, sending and journal included."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import copies
from benchmarks.statistics import spread


def measure(rig: Rig) -> Measured:
    """Processor time per row."""
    ours = tuple(1e6 * cost.cpu / cost.found["rows"] for cost in copies(rig))
    return Measured(spread(ours).median, ours)


SECTION = Section(
    name="cpu_python",
    title="Python's processor time per node row of 2.2 KB",
    unit="us",
    runs="us",
    required=16.0,
    better=Better.LOWER,
    measure=measure,
)
