"""The deep sample of 1,000 documents, field by field."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import another
from benchmarks.sections.pairs import interleaved
from benchmarks.sections.proving import proof
from benchmarks.statistics import spread

SAMPLE = 1_000


def measure(rig: Rig) -> Measured:
    """Seconds the sample adds to the fingerprint proof."""
    another(rig)
    size = rig.settings.amount(SAMPLE)
    whole, without = interleaved(
        rig.settings.repeats,
        ours=lambda: proof(rig, sample=size).seconds,
        other=lambda: proof(rig, sample=0).seconds,
    )
    ours = tuple(a - b for a, b in zip(whole, without, strict=True))
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
