"""Bounded, capped, jittered delays for retries inside one attempt."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off, half of it random: retries spread, and none comes at once.

    :param attempts: retries after the first try.
    :param first: seconds, upper bound of the first delay.
    :param cap: seconds, upper bound of any delay.
    """

    attempts: int = 6
    first: float = 0.5
    cap: float = 30.0

    def delays(self, rng: random.Random) -> Iterator[float]:
        """One delay in seconds per retry; between half and all of the exponential bound."""
        for retry in range(self.attempts):
            bound = min(self.cap, self.first * 2.0 ** min(retry, 64))
            yield bound * (0.5 + rng.random() / 2)
