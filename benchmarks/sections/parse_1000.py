"""1,000 tenants in one DAG file: parsed and serialized as the DAG processor does."""

from __future__ import annotations

from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.parsing import parse
from benchmarks.statistics import spread

PARSE, SERIALIZE = 3.0, 2.0
"""Bounds of the two parts, in seconds."""


def measure(rig: Rig) -> Measured:
    """Seconds of both parts; each within its own bound."""
    found = [parse(rig, one=False) for _ in range(rig.settings.repeats)]
    parts = [(float(one["parse"]), float(one["serialize"])) for one in found]
    # A part over its bound must not hide behind the other one's reserve.
    ours = tuple(max(sum(part), _over(part)) for part in parts)
    parsing = spread([part[0] for part in parts]).median
    serializing = spread([part[1] for part in parts]).median
    note = (
        f"{found[0]['dags']:,} DAGs: parsing with imports {parsing:.2f} s (bound {PARSE:g}), "
        f"serializing {serializing:.2f} s (bound {SERIALIZE:g})"
    )
    return Measured(spread(ours).median, ours, (), (note,))


def _over(part: tuple[float, float]) -> float:
    parse_time, serialize_time = part
    return (PARSE + SERIALIZE) * max(parse_time / PARSE, serialize_time / SERIALIZE)


SECTION = Section(
    name="parse_1000",
    title="parse and serialize the DAGs of 1,000 tenants",
    unit="s",
    runs="s",
    required=PARSE + SERIALIZE,
    better=Better.LOWER,
    measure=measure,
)
