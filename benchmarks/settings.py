"""How much is measured, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devstack.paths import BUILD

RUNS_PER_MONTH = 12_500
"""Of the ``bench`` profile: a little more than 100,000 node executions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One invocation's choice.

    :param root: folder of the servers, data and results; kept, so the next run starts quicker.
    :param scale: factor on the amounts of data; figures count at 1 only.
    :param repeats: pairs of runs per comparison.
    :param full: with the sections that take minutes.
    """

    root: Path = BUILD / "bench"
    scale: float = 1.0
    repeats: int = 3
    full: bool = False

    @property
    def judged(self) -> bool:
        """True if the amounts are the real ones, so that figures mean something."""
        return self.scale >= 1

    def amount(self, number: int, *, least: int = 1) -> int:
        """A number of things at this scale."""
        return max(least, round(number * self.scale))

    @property
    def heap_mb(self) -> int:
        """Of the engine."""
        return 2048 if self.judged else 512

    @property
    def results(self) -> Path:
        """The results file."""
        return self.root / "results.json"
