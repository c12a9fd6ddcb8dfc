"""Durations and sizes: both ways."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_logmigrate.config.quantities import (
    parse_duration,
    parse_size,
    show_duration,
    show_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("15m", 900), ("2h", 7200), ("1d", 86400), ("1500ms", 1.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert show_duration(timedelta(seconds=seconds)) == text


def test_a_fraction_of_a_duration() -> None:
    assert parse_duration("1.5h") == timedelta(minutes=90)


@pytest.mark.parametrize("value", ["", "5", "5 m", "m", "1.m", "5M", "٣m", 5, True, None, ["5m"]])
def test_no_durations(value: object) -> None:
    with pytest.raises(ValueError, match="is no duration: write a unit"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "size"), [("100B", 100), ("512KiB", 524288), ("4MiB", 4 << 20), ("1GiB", 1 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert show_size(size) == text


def test_a_size_in_bytes() -> None:
    assert parse_size(65536) == 65536


@pytest.mark.parametrize("value", ["", "4", "4MB", "4 MiB", "-1B", "1.5MiB", True, None, 1.5])
def test_no_sizes(value: object) -> None:
    with pytest.raises(ValueError, match="is no size: write bytes or a unit"):
        parse_size(value)
