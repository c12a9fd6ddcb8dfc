"""What a mapping or a codec costs and saves, for users to choose from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.jobs.plain_http import Connection
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import rate
from benchmarks.statistics import spread

_COLUMNS = ("inputs", "process_data", "outputs", "execution_metadata")


@dataclass(frozen=True, slots=True)
class Option:
    """One way to keep the JSON text columns."""

    title: str
    mapping: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)


OPTIONS = (
    Option("full text (default)", {"type": "text"}),
    Option("match_only_text", {"type": "match_only_text"}),
    Option("not indexed", {"type": "text", "index": False}),
    Option("full text, best_compression", {"type": "text"}, {"codec": "best_compression"}),
)


def measure(rig: Rig) -> Measured:
    """Rate of the fastest option over that of the default; all of them in the notes."""
    rates: dict[str, list[float]] = {option.title: [] for option in OPTIONS}
    sizes: dict[str, float] = {}
    for _ in range(rig.settings.repeats):
        for option in OPTIONS:
            speed, sizes[option.title] = _load(rig, option)
            rates[option.title].append(speed)
    notes = tuple(
        f"{title}: {spread(found).median:,.0f} documents/s, index of {sizes[title]:,.0f} MB"
        for title, found in rates.items()
    )
    default = rates[OPTIONS[0].title]
    fastest = max(rates.values(), key=lambda found: spread(found).median)
    value = spread(fastest).median / spread(default).median
    return Measured(value, tuple(default), tuple(fastest), notes)


def _load(rig: Rig, option: Option) -> tuple[float, float]:
    cost = rig.ceiling(
        properties=dict.fromkeys(_COLUMNS, option.mapping),
        settings=option.settings,
        index="bench-options",
        drop=False,
    )
    connection = Connection(rig.engine.url)
    try:
        connection.call("POST", "/bench-options/_flush")
        found = connection.call("GET", "/bench-options/_stats/store")
        connection.call("DELETE", "/bench-options")
    finally:
        connection.close()
    return rate(cost), found["_all"]["primaries"]["store"]["size_in_bytes"] / 1e6


SECTION = Section(
    name="engine_options",
    title="fastest engine option against the default",
    unit="times as fast",
    runs="documents/s",
    required=None,
    better=Better.HIGHER,
    measure=measure,
)
