"""The table on the terminal, and the generated part of ``docs/benchmarks.md``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.errors import BenchmarkError
from benchmarks.results import Better, Result
from benchmarks.section import Section
from benchmarks.statistics import spread
from devstack.paths import CHECKOUT

PAGE = CHECKOUT / "docs" / "benchmarks.md"


def terminal(results: Iterable[Result], sections: Mapping[str, Section]) -> Table:
    """Medians and spreads for people."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("section", "value", "required"):
        table.add_column(name, no_wrap=True)
    table.add_column("ours")
    table.add_column("other")
    for result in results:
        met = {True: "[green]met[/]", False: "[red]missed[/]", None: "reported"}[result.met]
        unit = sections[result.name].runs
        table.add_row(
            result.name,
            f"{_number(result.value)} {result.unit}",
            f"{_required(result)} {met}",
            _runs(result.ours, unit),
            _runs(result.other, unit),
        )
    return table


def markdown(
    results: Sequence[Result],
    sections: Mapping[str, Section],
    *,
    machine: str,
    commit: str,
    notes: Mapping[str, Mapping[str, Any]],
) -> str:
    """The generated part of the page.

    :param notes: by section: its ``notes`` and its ``table``.
    """
    lines = [
        f"Machine: {machine}. Commit: `{commit}`.",
        "",
        "| section | what | value | required | ours | other |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        section = sections[result.name]
        met = {True: "met", False: "**missed**", None: ""}[result.met]
        lines.append(
            f"| `{result.name}` | {section.title} | {_number(result.value)} {result.unit} "
            f"| {_required(result)} {met} | {_runs(result.ours, section.runs)} "
            f"| {_runs(result.other, section.runs)} |"
        )
    told = [(name, note) for name, found in notes.items() for note in found["notes"]]
    lines += ["", *(_wrapped(f"* `{name}`: {note}.") for name, note in told)]
    for name, found in notes.items():
        if table := found["table"]:
            lines += ["", f"`{name}`: {sections[name].title}", "", *_table(table)]
    return "\n".join(lines).rstrip() + "\n"


def _wrapped(item: str) -> str:
    """A list item in lines that read well as text, too."""
    return textwrap.fill(item, 110, subsequent_indent="  ", break_on_hyphens=False)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    header, *lines = rows
    aligned = "|".join("---" if not _is_number(cell) else "---:" for cell in lines[0])
    return [
        f"| {' | '.join(header)} |",
        f"|{aligned}|",
        *(f"| {' | '.join(line)} |" for line in lines),
    ]


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit()


def replace_between(path: Path, name: str, text: str) -> None:
    """Put the text between the page's marks. :raises BenchmarkError: the marks are missing."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise BenchmarkError(f"{path} lacks the lines {begin} and {end}: put them back")
    path.write_text(f"{before}{begin}\n{text}{end}{after}")


def _required(result: Result) -> str:
    if result.required is None:
        return ""
    sign = ">=" if result.better is Better.HIGHER else "<="
    return f"{sign} {result.required:g}"


def _runs(values: Sequence[float], unit: str) -> str:
    if not values:
        return ""
    found = spread(values)
    return f"{_number(found.median)} ({_number(found.low)} to {_number(found.high)}) {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
