"""Our backfill beside the engine's ceiling, all on the same cores."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.child import Cost
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import another, copies, rate
from benchmarks.sections.pairs import interleaved
from benchmarks.statistics import paired_ratio, spread


def measure(rig: Rig) -> Measured:
    """The copy's rate as a share of the ceiling's."""
    ours, other = interleaved(
        rig.settings.repeats, ours=lambda: rate(another(rig)), other=lambda: rate(rig.ceiling())
    )
    rates = f"{spread(ours).median:,.0f} documents/s of {spread(other).median:,.0f}"
    return Measured(paired_ratio(ours, other), ours, other, (rates, _limit(copies(rig))))


def _limit(found: list[Cost]) -> str:
    """What there can be at most: the engine's part of all processor time, which they share."""

    def each(spent: Callable[[Cost], float]) -> float:
        return spread([1e6 * spent(cost) / cost.found["rows"] for cost in found]).median

    engine, backend, python = (
        each(lambda cost: cost.engine),
        each(lambda cost: cost.backend),
        each(lambda cost: cost.cpu),
    )
    return (
        f"processor time of a document: engine {engine:.0f} us, PostgreSQL {backend:.0f}, Python "
        f"{python:.0f}; on shared cores the ratio can't be above "
        f"{engine / (engine + backend + python):.2f}"
    )


SECTION = Section(
    name="copy_shared",
    title="copy against the engine's ceiling, shared cores",
    unit="of the ceiling",
    runs="documents/s",
    required=0.78,
    better=Better.HIGHER,
    measure=measure,
)
