"""The fingerprint proof of a unit against the time of its copy."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import another
from benchmarks.sections.proving import proof
from benchmarks.statistics import paired_ratio


def measure(rig: Rig) -> Measured:
    """The proof's seconds as a share of the copy's."""
    copied, proven = [], []
    for _ in range(rig.settings.repeats):  # the copy first: there must be something to prove
        copied.append(another(rig).seconds)
        proven.append(proof(rig, sample=0).seconds)
    return Measured(paired_ratio(proven, copied), tuple(proven), tuple(copied))


SECTION = Section(
    name="proof_fingerprint",
    title="fingerprint proof of a copied unit against its copy",
    unit="of the copy's time",
    runs="s",
    required=0.10,
    better=Better.LOWER,
    measure=measure,
)
