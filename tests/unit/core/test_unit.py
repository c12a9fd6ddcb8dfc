"""Periods and units: nothing between two periods, the last day included, keys reversible."""

from __future__ import annotations

import copy
import itertools
import pickle
import random
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_logmigrate.core.unit import (
    UTC,
    Granularity,
    Period,
    Unit,
    day_of,
    month_of,
    periods,
)

MICRO = timedelta(microseconds=1)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("moment", "start", "end"),
    [
        (utc(2025, 1, 31, 23, 59, 59, 999999), utc(2025, 1, 1), utc(2025, 2, 1)),
        (utc(2025, 2, 1), utc(2025, 2, 1), utc(2025, 3, 1)),
        (utc(2024, 2, 29, 12), utc(2024, 2, 1), utc(2024, 3, 1)),
        (utc(2100, 2, 28, 23), utc(2100, 2, 1), utc(2100, 3, 1)),
        (utc(2000, 2, 29), utc(2000, 2, 1), utc(2000, 3, 1)),
        (utc(2025, 12, 31, 23), utc(2025, 12, 1), utc(2026, 1, 1)),
        (utc(1, 1, 1), utc(1, 1, 1), utc(1, 2, 1)),
    ],
)
def test_months(moment: datetime, start: datetime, end: datetime) -> None:
    assert month_of(moment) == Period(start, end)


def test_days() -> None:
    assert day_of(utc(2024, 2, 29, 23, 59)) == Period(utc(2024, 2, 29), utc(2024, 3, 1))
    assert day_of(utc(2025, 12, 31)) == Period(utc(2025, 12, 31), utc(2026, 1, 1))


def test_a_moment_of_another_zone_belongs_to_its_utc_period() -> None:
    """New year in Tokyo is still the old year: the local month was taken for the UTC month."""
    moment = datetime(2025, 1, 1, 3, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert month_of(moment).label == "2024-12"
    assert day_of(moment).label == "2024-12-31"


@pytest.mark.parametrize("of", [month_of, day_of])
def test_moments_without_zone_and_behind_the_calendar_are_refused(of: object) -> None:
    assert callable(of)
    with pytest.raises(ValueError, match="no time zone"):
        of(datetime(2025, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="year 9999"):
        of(utc(9999, 12, 31))


@pytest.mark.parametrize("granularity", list(Granularity))
@pytest.mark.parametrize("seed", range(20))
def test_a_range_is_covered_without_gap_or_overlap_last_day_included(
    granularity: Granularity, seed: int
) -> None:
    rng = random.Random(seed)
    first = date(2023, 1, 1) + timedelta(days=rng.randrange(800))
    last = first + timedelta(days=rng.randrange(0, 500))
    found = list(periods(first=first, last=last, granularity=granularity))
    assert found[0].start <= utc(first.year, first.month, first.day) < found[0].end
    last_moment = utc(last.year, last.month, last.day) + timedelta(days=1) - MICRO
    assert found[-1].start <= last_moment < found[-1].end
    assert all(a.end == b.start for a, b in itertools.pairwise(found))
    for _ in range(50):
        moment = utc(first.year, first.month, first.day) + rng.random() * timedelta(days=500)
        if moment <= last_moment:
            assert sum(p.start <= moment < p.end for p in found) == 1


def test_one_day_makes_one_period() -> None:
    leap = date(2024, 2, 29)
    assert [p.label for p in periods(first=leap, last=leap, granularity=Granularity.DAY)] == [
        "2024-02-29"
    ]
    assert [p.label for p in periods(first=leap, last=leap, granularity=Granularity.MONTH)] == [
        "2024-02"
    ]


def test_the_last_day_of_a_month_stays_in_it_and_the_first_of_the_next_opens_the_next() -> None:
    def labels(last: date) -> list[str]:
        first = date(2025, 1, 15)
        return [p.label for p in periods(first=first, last=last, granularity=Granularity.MONTH)]

    assert labels(date(2025, 3, 31)) == ["2025-01", "2025-02", "2025-03"]
    assert labels(date(2025, 4, 1)) == ["2025-01", "2025-02", "2025-03", "2025-04"]


def test_periods_need_utc_and_some_length() -> None:
    with pytest.raises(ValueError, match="UTC"):
        Period(datetime(2025, 1, 1), datetime(2025, 2, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="UTC"):
        Period(
            datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            datetime(2025, 2, 1, tzinfo=timezone(timedelta(hours=1))),
        )
    with pytest.raises(ValueError, match="empty"):
        Period(utc(2025, 1, 1), utc(2025, 1, 1))


def test_periods_survive_pickling_and_copying() -> None:
    period = month_of(utc(2025, 1, 1))
    again = pickle.loads(pickle.dumps(period))
    assert again == period == copy.deepcopy(period)
    assert Period(again.start, again.end) == period


@pytest.mark.parametrize("label", ["2025-01", "2024-02-29", "0999-12", "9999-11", "2025-12-31"])
def test_labels_are_reversible(label: str) -> None:
    assert Period.from_label(label).label == label


@pytest.mark.parametrize(
    "label",
    [
        "",
        "2025",
        "2025-1",
        "2025-13",
        "2025-00",
        "2025-02-30",
        "2023-02-29",
        "20250131",
        "2025-W01-1",
        "2025-01-31T10:00:00+05:00",
        " 2025-01",
        "2025-01\n",
        "\u0662\u0660\u0662\u0665-01",
        "0000-01",
        "9999-12",
    ],
)
def test_what_is_no_label_is_refused(label: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some messages are Python's own
        Period.from_label(label)


def test_a_period_that_is_neither_month_nor_day_has_no_label() -> None:
    """A week was labelled like its first day, and two units had one key."""
    with pytest.raises(ValueError, match="neither a month nor a day"):
        _ = Period(utc(2025, 1, 1), utc(2025, 1, 8)).label


@pytest.mark.parametrize(
    "tenant", ["3f2b-aa", "a/b", "*", "..", "Ä B,c", "runs/t/2025-01", "_61", "a" * 160]
)
@pytest.mark.parametrize("period", [month_of(utc(2025, 1, 1)), day_of(utc(2025, 1, 31))])
def test_unit_keys_are_reversible_for_every_tenant(tenant: str, period: Period) -> None:
    unit = Unit("workflow_runs", tenant, period)
    assert unit.key.count("/") == 2
    assert Unit.from_key(unit.key) == unit


@pytest.mark.parametrize("key", ["", "a/b", "a/b/c/2025-01", "a/B/2025-01", "a//2025-01", "a/b/x"])
def test_malformed_unit_keys_are_refused(key: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some messages are Python's own
        Unit.from_key(key)
