"""The full proof of a unit, every document, against the time of its copy."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.checking import checked
from benchmarks.statistics import paired_ratio


def measure(rig: Rig) -> Measured:
    """The proof's seconds, fingerprints included, as a share of the copy's."""
    found = checked(rig)
    proofs = tuple(one.full.seconds for one in found)
    copied = tuple(one.copy.seconds for one in found)
    [unit] = found[0].full.found
    notes = (
        f"{unit['sampled']:,} documents compared; the process grew by "
        f"{max(one.full.grown_mb for one in found):.0f} MB at most",
    )
    return Measured(paired_ratio(proofs, copied), proofs, copied, notes)


SECTION = Section(
    name="proof_full",
    title="full proof of a copied unit against its copy",
    unit="of the copy's time",
    runs="s",
    required=0.6,
    better=Better.LOWER,
    measure=measure,
)
