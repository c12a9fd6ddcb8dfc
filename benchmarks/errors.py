"""The one error of the benchmarks: what failed, where to look, what to do next."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A measurement could not be taken. The message is meant for a person."""
