"""The deep sample of 1,000 documents, field by field."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.checking import checked
from benchmarks.statistics import spread


def measure(rig: Rig) -> Measured:
    """Seconds the sample adds to the fingerprint proof."""
    ours = tuple(one.sampled.seconds - one.fingerprint.seconds for one in checked(rig))
    return Measured(spread(ours).median, ours)


SECTION = Section(
    name="proof_sample",
    title="deep sample of 1,000 documents",
    unit="s",
    runs="s",
    required=5.0,
    better=Better.LOWER,
    measure=measure,
)
