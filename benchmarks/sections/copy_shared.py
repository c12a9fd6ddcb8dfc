"""Our backfill beside the engine's ceiling, all on the same cores."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import another, rate
from benchmarks.sections.pairs import interleaved
from benchmarks.statistics import paired_ratio, spread


def measure(rig: Rig) -> Measured:
    """The copy's rate as a share of the ceiling's."""
    ours, other = interleaved(
        rig.settings.repeats, ours=lambda: rate(another(rig)), other=lambda: rate(rig.ceiling())
    )
    note = (
        f"{spread(ours).median:,.0f} documents/s of {spread(other).median:,.0f}; source, worker "
        "and engine share the cores, so about 0.85 is the most there can be"
    )
    return Measured(paired_ratio(ours, other), ours, other, (note,))


SECTION = Section(
    name="copy_shared",
    title="copy against the engine's ceiling, shared cores",
    unit="of the ceiling",
    runs="documents/s",
    required=0.78,
    better=Better.HIGHER,
    measure=measure,
)
