"""The results file: its format, reading, checking, merging and writing.

The file is ``{machine, commit, sections: [...]}``; each section is ``{name, unit, value, required,
better, met, runs: {ours: [...], other: [...]}}``. ``required`` and ``met`` are null for figures
that are only reported. A run of some sections keeps the others' last results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError


class Better(str, Enum):
    """Which way is good."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One section's figure.

    :param required: bound of ``value``; ``None``: only reported.
    :param ours, other: single runs, interleaved; ``other`` is empty where nothing is compared.
    """

    name: str
    unit: str
    value: float
    required: float | None
    better: Better
    ours: tuple[float, ...]
    other: tuple[float, ...] = ()

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; ``None`` without one."""
        if self.required is None:
            return None
        shown = _short(self.value)
        return shown >= self.required if self.better is Better.HIGHER else shown <= self.required

    def to_json(self) -> dict[str, Any]:
        """The section as the file has it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": _short(self.value),
            "required": self.required,
            "better": self.better.value,
            "met": self.met,
            "runs": {"ours": _all_short(self.ours), "other": _all_short(self.other)},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Result:
        """Inverse of :meth:`to_json`. :raises BenchmarkError: not such a record."""
        try:
            found = cls(
                name=record["name"],
                unit=record["unit"],
                value=float(record["value"]),
                required=None if record["required"] is None else float(record["required"]),
                better=Better(record["better"]),
                ours=tuple(map(float, record["runs"]["ours"])),
                other=tuple(map(float, record["runs"]["other"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BenchmarkError(f"not a section of a results file: {record!r}") from error
        if set(record) != set(found.to_json()) or not found.ours or found.met is not record["met"]:
            raise BenchmarkError(f"a section of a results file contradicts itself: {record!r}")
        return found


def read(path: Path) -> list[Result]:
    """Results of a file; none if there is no such file. :raises BenchmarkError: not its format."""
    if not path.exists():
        return []
    try:
        stored = json.loads(path.read_text())
        sections = stored["sections"]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path} isn't a results file: delete it") from error
    return [Result.from_json(record) for record in sections]


def merged(old: Iterable[Result], new: Iterable[Result], *, order: Sequence[str]) -> list[Result]:
    """New results, and old ones of sections that weren't run, in the registry's order."""
    by_name = {result.name: result for result in (*old, *new)}
    return [by_name[name] for name in order if name in by_name]


def write(path: Path, results: Iterable[Result], *, machine: str, commit: str) -> None:
    """Write the file; readers see the old or the new one."""
    stored = {
        "machine": machine,
        "commit": commit,
        "sections": [result.to_json() for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(stored, indent=1) + "\n")
    draft.replace(path)


def _short(value: float) -> float:
    """Four significant digits: the rest is noise."""
    return float(f"{value:.4g}")


def _all_short(values: Iterable[float]) -> list[float]:
    return [_short(value) for value in values]
