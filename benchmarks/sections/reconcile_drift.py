"""A reconcile of a unit of which one document in a thousand differs."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.checking import checked
from benchmarks.statistics import paired_ratio


def measure(rig: Rig) -> Measured:
    """The seconds of proof, repair and proof as a share of the copy's."""
    found = checked(rig)
    passes = tuple(one.drift.seconds for one in found)
    copied = tuple(one.copy.seconds for one in found)
    notes = (f"{found[0].drift.found['differing']} documents differed, half of them missing",)
    return Measured(paired_ratio(passes, copied), passes, copied, notes)


SECTION = Section(
    name="reconcile_drift",
    title="reconcile of a unit with 0.1 % drift against its copy",
    unit="of the copy's time",
    runs="s",
    required=0.15,
    better=Better.LOWER,
    measure=measure,
)
