"""Progress: what people read is true, and computing it needs no memory."""

from __future__ import annotations

import json

import pytest

from airflow_provider_logmigrate.core.checkpoint import Counters
from airflow_provider_logmigrate.core.progress import (
    RATE_WINDOW_SECONDS,
    Progress,
    ProgressMeter,
)


def test_the_first_snapshot_knows_no_rate() -> None:
    first = ProgressMeter(unit="u", rows=100).snapshot(at=5, counters=Counters(10, 8, 2, 99))
    assert (first.done, first.rejected, first.bytes) == (10, 2, 99)
    assert (first.rate, first.eta_seconds, first.percent) == (0.0, None, 10.0)


def test_rate_and_eta_are_those_of_the_last_half_minute() -> None:
    meter = ProgressMeter(unit="u", rows=100_000)
    shown = meter.snapshot(at=0, counters=Counters())
    for second in range(1, 121):  # 100/s for a minute, then 10/s
        done = 100 * min(second, 60) + 10 * max(0, second - 60)
        shown = meter.snapshot(at=second, counters=Counters(documents=done))
    assert shown.rate == pytest.approx(10, rel=0.1)
    assert shown.eta_seconds == pytest.approx((100_000 - 6600) / 10, rel=0.1)


def test_what_earlier_attempts_did_is_no_speed() -> None:
    meter = ProgressMeter(unit="u", rows=None)
    meter.snapshot(at=100, counters=Counters(documents=1_000_000))
    assert meter.snapshot(at=110, counters=Counters(documents=1_000_100)).rate == 10


def test_a_stalled_copy_shows_a_falling_rate_and_no_false_eta() -> None:
    meter = ProgressMeter(unit="u", rows=1000)
    meter.snapshot(at=0, counters=Counters())
    meter.snapshot(at=1, counters=Counters(documents=500))
    for at in range(2, 100):
        shown = meter.snapshot(at=at, counters=Counters(documents=500))
    assert shown.rate == 0
    assert shown.eta_seconds is None


@pytest.mark.parametrize(
    ("rows", "done", "percent"), [(None, 5, None), (0, 0, None), (10, 20, 100.0), (3, 1, 100 / 3)]
)
def test_percent_never_lies(rows: int | None, done: int, percent: float | None) -> None:
    meter = ProgressMeter(unit="u", rows=rows)
    assert meter.snapshot(at=0, counters=Counters(documents=done)).percent == percent


def test_more_rows_than_estimated_leave_no_time_rather_than_negative_time() -> None:
    meter = ProgressMeter(unit="u", rows=10)
    meter.snapshot(at=0, counters=Counters())
    assert meter.snapshot(at=1, counters=Counters(documents=50)).eta_seconds == 0


def test_two_snapshots_at_one_time_divide_by_nothing() -> None:
    meter = ProgressMeter(unit="u", rows=10)
    meter.snapshot(at=1, counters=Counters())
    assert meter.snapshot(at=1, counters=Counters(documents=5)).rate == 0


def test_memory_is_that_of_the_window() -> None:
    meter = ProgressMeter(unit="u", rows=None)
    for second in range(0, 100_000, 5):
        meter.snapshot(at=second, counters=Counters(documents=second))
    assert len(meter._samples) <= RATE_WINDOW_SECONDS / 5 + 2


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (
            Progress("u", 2000, 1000, 3, 0, 250.4, 3725.0, "429: slowed down"),
            "u: 1,000 rows 50 %, 250/s, 1 h 02 min left, 3 rejected (429: slowed down)",
        ),
        (Progress("u", None, 12, 0, 0, 0.0, None), "u: 12 rows, 0/s"),
        (Progress("u", 10, 1, 0, 0, 1.0, 9.0), "u: 1 rows 10 %, 1/s, 9 s left"),
        (Progress("u", 10, 1, 0, 0, 1.0, 69.0), "u: 1 rows 10 %, 1/s, 1 min 09 s left"),
    ],
)
def test_the_log_line(progress: Progress, line: str) -> None:
    assert progress.line() == line
    assert json.loads(json.dumps(progress.to_json()))["done"] == progress.done
