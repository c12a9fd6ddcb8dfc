"""Hourly buckets: equal means equal, and what can't be exact is listed."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_logmigrate.core.fingerprint import (
    EMPTY,
    EXACT_BUCKET_ROWS,
    Bucket,
    Summary,
    differing_hours,
)

START = datetime(2025, 1, 1, tzinfo=timezone.utc)
HOURS = [START + timedelta(hours=n) for n in range(6)]
ONE = Bucket(1, 5, 7)


def test_equal_sides_differ_nowhere() -> None:
    side = Summary(dict.fromkeys(HOURS, ONE))
    assert list(differing_hours(side, Summary(dict(side.buckets)))) == []
    assert list(differing_hours(Summary(), Summary())) == []


@pytest.mark.parametrize(
    "other", [Bucket(2, 5, 7), Bucket(1, 6, 7), Bucket(1, 5, 8), Bucket(1, 7, 5), EMPTY]
)
def test_each_part_of_a_bucket_counts(other: Bucket) -> None:
    left = Summary({HOURS[0]: ONE, HOURS[1]: ONE})
    right = Summary({HOURS[0]: ONE, HOURS[1]: other})
    assert list(differing_hours(left, right)) == [HOURS[1]]
    assert list(differing_hours(right, left)) == [HOURS[1]]


def test_an_hour_of_one_side_only_differs_unless_it_is_empty() -> None:
    left, right = Summary({HOURS[3]: ONE, HOURS[4]: EMPTY}), Summary({HOURS[1]: ONE})
    assert list(differing_hours(left, right)) == [HOURS[1], HOURS[3]]


def test_sums_that_a_double_can_not_hold_are_never_trusted() -> None:
    assert EXACT_BUCKET_ROWS * (2**32 - 1) < 2**53
    for count, listed in ((EXACT_BUCKET_ROWS, []), (EXACT_BUCKET_ROWS + 1, [START])):
        side = Summary({START: Bucket(count, 1, 1)})
        assert list(differing_hours(side, side)) == listed


def test_every_random_difference_is_found_oldest_first() -> None:
    rng = random.Random(0)
    for _ in range(300):
        left = {hour: Bucket(rng.randrange(3), rng.randrange(3), 0) for hour in HOURS}
        right = dict(left)
        changed = sorted(rng.sample(HOURS, k=rng.randrange(len(HOURS))))
        for hour in changed:
            right[hour] = right[hour] + Bucket(0, 0, 1)
        shuffled = dict(rng.sample(list(right.items()), k=len(right)))
        assert list(differing_hours(Summary(left), Summary(shuffled))) == changed


def test_totals_add_up() -> None:
    assert Summary().total == EMPTY
    total = Summary({HOURS[0]: Bucket(1, 2, 3), HOURS[1]: Bucket(10, 20, 30)}).total
    assert total == Bucket(11, 22, 33)
