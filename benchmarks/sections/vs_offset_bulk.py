"""Our backfill beside OFFSET pages and helpers.bulk, as a user would write it."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.by_hand import beside
from benchmarks.statistics import paired_ratio, spread


def measure(rig: Rig) -> Measured:
    """How many times faster ours is."""
    ours, other = beside(rig, "offset")
    note = f"{spread(ours).median:,.0f} against {spread(other).median:,.0f} documents/s"
    return Measured(paired_ratio(ours, other), ours, other, (note,))


SECTION = Section(
    name="vs_offset_bulk",
    title="copy against OFFSET pages and helpers.bulk",
    unit="times as fast",
    runs="documents/s",
    required=4.0,
    better=Better.HIGHER,
    measure=measure,
)
