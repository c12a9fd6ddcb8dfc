"""Durations, sizes and days as people write them in the configuration."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"
SIZE_PATTERN = r"^[0-9]+(B|KiB|MiB|GiB)$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_EARLIEST = date(1970, 1, 1)


def parse_duration(value: object) -> timedelta:
    """``30s``, ``15m``, ``2h``, ``1d`` or ``500ms``. :raises ValueError: anything else."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(DURATION_PATTERN, value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{_shown(value)} is no duration: write a unit, like 30s, 15m, 2h or 1d")
    text, unit = match.group(0), match.group(2)
    try:
        return timedelta(seconds=float(text.removesuffix(unit)) * _SECONDS[unit])
    except OverflowError:
        raise ValueError(f"{_shown(value)} is too long a duration") from None


def parse_size(value: object) -> int:
    """``4MiB``, ``512KiB``, ``1GiB`` or ``100B``, in bytes. :raises ValueError: anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(SIZE_PATTERN, value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{_shown(value)} is no size: write bytes or a unit, like 512KiB or 4MiB")
    text, unit = match.group(0), match.group(1)
    return int(text.removesuffix(unit)) * _BYTES[unit]


def parse_lag(value: object) -> timedelta | int:
    """A duration or a size. :raises ValueError: neither."""
    if isinstance(value, str) and re.fullmatch(SIZE_PATTERN, value.strip()):
        return parse_size(value)
    try:
        return parse_duration(value)
    except ValueError:
        shown = _shown(value)
        raise ValueError(
            f"{shown} is no lag: write a duration like 10s, or a size like 64MiB"
        ) from None


def parse_day(value: object) -> date:
    """``2025-01-31``. :raises ValueError: not a day, a time of day with it, or before 1970."""
    day: date | None = None
    if isinstance(value, date) and not isinstance(value, datetime):
        day = value
    elif isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        try:
            day = date.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value} is no day: {error}") from None
    if day is None:
        raise ValueError(f"{_shown(value)} is no day: write it like 2025-01-31")
    if day < _EARLIEST:
        raise ValueError(f"{day} is before {_EARLIEST}: check the year")
    return day


def show_duration(value: timedelta) -> str:
    """Inverse of :func:`parse_duration`, in the largest unit that comes out whole."""
    for unit in ("d", "h", "m", "s"):
        count = value.total_seconds() / _SECONDS[unit]
        if count == int(count):
            return f"{int(count)}{unit}"
    return f"{round(value.total_seconds() * 1000)}ms"


def show_size(value: int) -> str:
    """Inverse of :func:`parse_size`, in the largest unit that comes out whole."""
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return f"{value}B"


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, (str, int, float, date)) else type(value).__name__
    return repr(text[:40]) if isinstance(value, str) else text[:40]
