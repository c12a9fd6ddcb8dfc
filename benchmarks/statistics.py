"""Medians and spreads of few runs. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A handful of values in short: the median, and how far they lie apart."""

    median: float
    low: float
    high: float

    @property
    def relative(self) -> float:
        """Width of the range as a share of the median; 0 for a median of 0."""
        return (self.high - self.low) / abs(self.median) if self.median else 0.0


def spread(values: Sequence[float]) -> Spread:
    """Median and range. :raises ValueError: no values."""
    if not values:
        raise ValueError("no values to take a median of")
    return Spread(statistics.median(values), min(values), max(values))


def paired_ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """The median of the quotients of runs that stood beside each other.

    Steadier than a quotient of medians where the machine gets slower for a while: both runs of
    a pair suffer.

    :raises ValueError: not the same number of runs on both sides, none at all, or a zero.
    """
    if not ours or len(ours) != len(other):
        raise ValueError(f"{len(ours)} and {len(other)} runs make no pairs")
    if not all(other):
        raise ValueError("a run of the other side has the value 0")
    return statistics.median(a / b for a, b in zip(ours, other, strict=True))
