"""Schedules: Airflow's own parser is the judge of what may pass."""

from __future__ import annotations

import pytest
from croniter import croniter  # type: ignore[import-untyped]

from airflow_provider_logmigrate.config.schedule import schedule_fault

GOOD = [
    *("0 3 * * *", "*/15 * * * *", "0 0-6/2 1,15 * 1-5", "0 0 * * MON", "0 0 * JAN-MAR sun"),
    *("0 0 L * *", "0 0 * * 5#1", "0 0 * * L5", "59 23 31 12 7"),
]


@pytest.mark.parametrize("text", GOOD)
def test_what_airflow_takes_passes(text: str) -> None:
    assert croniter.is_valid(text)
    assert schedule_fault(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("60 * * * *", "'60' can't be the minute"),
        ("0 24 * * *", "'24' can't be the hour"),
        ("0 0 0 * *", "'0' can't be the day"),
        ("0 0 * 13 *", "'13' can't be the month"),
        ("0 0 * * 8", "'8' can't be the weekday"),
        ("*/0 * * * *", "can't be the minute"),
        ("a! * * * *", "can't be the minute"),
        ("0 0 * *", "has 4 fields"),
        ("", "has 0 fields"),
        ("@dayly", "there is no preset '@dayly'"),
    ],
)
def test_what_it_refuses_is_told(text: str, message: str) -> None:
    fault = schedule_fault(text)

    assert fault is not None
    assert message in fault
    assert not croniter.is_valid(text)


@pytest.mark.parametrize("text", ["@once", "@hourly", "@daily", "@yearly", "@quarterly"])
def test_presets(text: str) -> None:
    assert schedule_fault(text) is None
