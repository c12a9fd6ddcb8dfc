"""A reconcile's pass over a unit in which nothing has changed."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.checking import checked
from benchmarks.statistics import paired_ratio


def measure(rig: Rig) -> Measured:
    """The pass's seconds as a share of the copy's."""
    found = checked(rig)
    passes = tuple(one.equal.seconds for one in found)
    copied = tuple(one.copy.seconds for one in found)
    return Measured(paired_ratio(passes, copied), passes, copied)


SECTION = Section(
    name="reconcile_equal",
    title="reconcile of an equal unit against its copy",
    unit="of the copy's time",
    runs="s",
    required=0.10,
    better=Better.LOWER,
    measure=measure,
)
