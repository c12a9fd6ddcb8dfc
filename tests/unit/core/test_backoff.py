"""Back-off: bounded in number and length, never zero, repeatable."""

from __future__ import annotations

import random

import pytest

from airflow_provider_logmigrate.core.backoff import Backoff


@pytest.mark.parametrize("seed", range(20))
def test_delays_grow_within_their_bounds(seed: int) -> None:
    backoff = Backoff(attempts=12, first=0.5, cap=30)
    delays = list(backoff.delays(random.Random(seed)))
    assert len(delays) == 12
    for retry, delay in enumerate(delays):
        bound = min(30, 0.5 * 2**retry)
        assert bound / 2 <= delay <= bound


def test_no_attempts_no_delay() -> None:
    assert list(Backoff(attempts=0).delays(random.Random(0))) == []


def test_it_repeats_with_the_random_source_and_spreads_otherwise() -> None:
    def delays(seed: int) -> list[float]:
        return list(Backoff().delays(random.Random(seed)))

    assert delays(1) == delays(1)
    assert len({tuple(delays(seed)) for seed in range(10)}) == 10


def test_very_many_attempts_stay_at_the_cap() -> None:
    """2**1024 is no float: the retry after an outage of days ended in an OverflowError."""
    delays = list(Backoff(attempts=2000, first=0.5, cap=30).delays(random.Random(0)))
    assert len(delays) == 2000
    assert 15 <= delays[-1] <= 30
