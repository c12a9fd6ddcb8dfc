"""A first look at a schedule, so that a typing error is told here and breaks no DAG file."""

from __future__ import annotations

import re

PRESETS = (
    "@once",
    "@continuous",
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
    "@quarterly",
    "@yearly",
)

_RANGES = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART = re.compile(r"(\*|[0-9]+(?:-[0-9]+)?)(?:/([0-9]+))?")
_NAMED = re.compile(r"L[0-9]?|[0-9]#[1-5]|[A-Za-z]{3}(-[A-Za-z]{3})?(#[1-5])?|\?")


def schedule_fault(text: str) -> str | None:
    """What is wrong with a cron expression or preset; ``None``: nothing that can be seen here.

    Airflow has the last word: names (``MON``), ``L`` and ``#`` are left to it.
    """
    if text.startswith("@"):
        known = ", ".join(PRESETS)
        return None if text in PRESETS else f"there is no preset {text!r}; known: {known}"
    fields = text.split()
    if len(fields) != len(_RANGES):
        return f"{text!r} has {len(fields)} fields, a cron expression has {len(_RANGES)}"
    for value, (name, low, high) in zip(fields, _RANGES, strict=True):
        if not all(_fits(part, low, high) for part in value.split(",")):
            return f"{value!r} can't be the {name} of a cron expression ({low} to {high})"
    return None


def _fits(part: str, low: int, high: int) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return _NAMED.fullmatch(part) is not None
    numbers = [] if match[1] == "*" else [int(number) for number in match[1].split("-")]
    return all(low <= number <= high for number in numbers) and int(match[2] or 1) > 0
