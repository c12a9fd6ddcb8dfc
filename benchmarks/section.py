"""What one section of the benchmark is: a module with a ``SECTION`` of this shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.results import Better, Result

if TYPE_CHECKING:
    from benchmarks.rig import Rig


@dataclass(frozen=True, slots=True)
class Measured:
    """What a section found.

    :param notes: what the figure alone doesn't say, for the page; single sentences.
    :param table: a table for the page, its header first.
    """

    value: float
    ours: tuple[float, ...]
    other: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
    table: tuple[tuple[str, ...], ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One figure.

    :param title: what is measured or compared, for the table.
    :param unit: of the value; ``runs`` names that of the single runs.
    :param required: bound of the value, ``None`` if it is only reported.
    :param full_only: too long for every run; wants ``FULL=1``.
    """

    name: str
    title: str
    unit: str
    runs: str
    required: float | None
    better: Better
    measure: Callable[[Rig], Measured]
    full_only: bool = False

    def result(self, measured: Measured) -> Result:
        """The figure for the results file."""
        return Result(
            name=self.name,
            unit=self.unit,
            value=measured.value,
            required=self.required,
            better=self.better,
            ours=measured.ours,
            other=measured.other,
        )
