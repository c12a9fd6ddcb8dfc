"""Runs of two sides, interleaved."""

from __future__ import annotations

from collections.abc import Callable

Pairs = tuple[tuple[float, ...], tuple[float, ...]]


def interleaved(repeats: int, *, ours: Callable[[], float], other: Callable[[], float]) -> Pairs:
    """Both sides in turn; who begins changes, so neither always meets the warmer machine."""
    mine, theirs = [], []
    for number in range(repeats):
        if number % 2 == 0:
            mine.append(ours())
            theirs.append(other())
        else:
            theirs.append(other())
            mine.append(ours())
    return tuple(mine), tuple(theirs)


def repeated(repeats: int, run: Callable[[], float]) -> tuple[float, ...]:
    """One side alone."""
    return tuple(run() for _ in range(repeats))
