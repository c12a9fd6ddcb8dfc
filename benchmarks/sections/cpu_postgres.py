"""What a row costs the source's backend, fingerprint included."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import copies
from benchmarks.statistics import spread


def measure(rig: Rig) -> Measured:
    """Processor time per row of all backends that served the copy."""
    ours = tuple(1e6 * cost.backend / cost.found["rows"] for cost in copies(rig))
    return Measured(spread(ours).median, ours)


SECTION = Section(
    name="cpu_postgres",
    title="PostgreSQL's processor time per node row of 2.2 KB",
    unit="us",
    runs="us",
    required=30.0,
    better=Better.LOWER,
    measure=measure,
)
