"""The same with the engine on one processor, source and worker on the other: separate hosts."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import rate
from benchmarks.sections.pairs import interleaved
from benchmarks.statistics import paired_ratio, spread


def measure(rig: Rig) -> Measured:
    """The copy's rate as a share of the ceiling's."""
    ours, other = interleaved(
        rig.settings.repeats,
        ours=lambda: rate(rig.copy(pinned=True)),
        other=lambda: rate(rig.ceiling(pinned=True)),
    )
    note = f"{spread(ours).median:,.0f} documents/s of {spread(other).median:,.0f}"
    return Measured(paired_ratio(ours, other), ours, other, (note,))


SECTION = Section(
    name="copy_pinned",
    title="copy against the ceiling, engine on a processor of its own",
    unit="of the ceiling",
    runs="documents/s",
    required=0.97,
    better=Better.HIGHER,
    measure=measure,
)
