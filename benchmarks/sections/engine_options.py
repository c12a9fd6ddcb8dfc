"""What a mapping or a codec costs and saves, for users to choose from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.jobs.plain_http import Connection
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import rate
from benchmarks.statistics import paired_ratio, spread

SHARE = 0.5
"""Of the documents: there are many runs, and each option is compared with the default only."""

_SMALL = {"codec": "best_compression"}
_COLUMNS = ("inputs", "process_data", "outputs", "execution_metadata")


@dataclass(frozen=True, slots=True)
class Option:
    """One way to keep the JSON text columns.

    :param config: what asks for it in ``logmigrate.yaml``.
    """

    title: str
    config: str
    mapping: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)


OPTIONS = (
    Option("full text (default)", "`text: full`", {"type": "text"}),
    Option("`match_only_text`", "`text: match_only`", {"type": "match_only_text"}),
    Option("not indexed", "`text: stored`", {"type": "text", "index": False}),
    Option("full text, `best_compression`", "`codec: best_compression`", {"type": "text"}, _SMALL),
)


def measure(rig: Rig) -> Measured:
    """Rate of the fastest option over that of the default; all of them in the table."""
    rates: dict[str, list[float]] = {option.title: [] for option in OPTIONS}
    sizes: dict[str, float] = {}
    for _ in range(rig.settings.repeats):
        for option in OPTIONS:
            speed, sizes[option.title] = _load(rig, option)
            rates[option.title].append(speed)
    default = rates[OPTIONS[0].title]
    header = ("JSON text columns", "under `index`", "documents/s", "of the default", "index size")
    lines = [
        (
            option.title,
            option.config,
            f"{spread(rates[option.title]).median:,.0f}",
            f"{paired_ratio(rates[option.title], default):.2f}",
            f"{sizes[option.title]:,.0f} MB",
        )
        for option in OPTIONS
    ]
    fastest = max(rates.values(), key=lambda found: spread(found).median)
    return Measured(
        paired_ratio(fastest, default), tuple(default), tuple(fastest), table=(header, *lines)
    )


def _load(rig: Rig, option: Option) -> tuple[float, float]:
    cost = rig.ceiling(
        share=SHARE,
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
