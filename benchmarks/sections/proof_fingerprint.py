"""The fingerprint proof of a unit against the time of its copy."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.checking import checked
from benchmarks.statistics import paired_ratio


def measure(rig: Rig) -> Measured:
    """The proof's seconds as a share of the copy's."""
    found = checked(rig)
    proofs = tuple(one.fingerprint.seconds for one in found)
    copied = tuple(one.copy.seconds for one in found)
    return Measured(paired_ratio(proofs, copied), proofs, copied)


SECTION = Section(
    name="proof_fingerprint",
    title="fingerprint proof of a copied unit against its copy",
    unit="of the copy's time",
    runs="s",
    required=0.10,
    better=Better.LOWER,
    measure=measure,
)
