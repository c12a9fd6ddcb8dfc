"""When the runs of a profile start, and which of them are special.

The calendar is exact: how many runs of which kind fall into which month follows from the profile
alone, only the times of ordinary runs are random.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from itertools import accumulate
from typing import NamedTuple

from devstack.sampledata.hostile import HOSTILE_VALUES
from devstack.sampledata.profiles import Profile

SECOND = 1_000_000
_QUIET_END = 900 * SECOND
"""No ordinary run starts in the last 15 minutes of a month; none takes longer than that."""
_HOURS = (1, 1, 1, 1, 1, 2, 3, 6, 9, 11, 11, 10, 8, 9, 11, 11, 10, 8, 6, 4, 3, 3, 2, 1)
"""Relative number of runs by hour of the day."""
_CUMULATED = tuple(accumulate(_HOURS))
_SINGLE_STEPS = 0.03
"""Single-step executions (no run) as a share of the ordinary runs."""
_EPOCH = datetime.fromisoformat("1970-01-01")


class Kind(str, Enum):
    """Why a run is in the data set."""

    ORDINARY = "ordinary"
    FIRST_INSTANT = "first-instant"
    LAST_MICROSECOND = "last-microsecond"
    CROSSING = "crossing"
    TIE = "tie"
    RUNNING = "running"
    PAUSED = "paused"
    SCHEDULED = "scheduled"
    OFFLOADED = "offloaded"
    HOSTILE = "hostile"
    SINGLE_STEP = "single-step"
    SINGLE_STEP_RUNNING = "single-step-running"
    ORPHAN_OFFLOAD = "orphan-offload"


class Appointment(NamedTuple):
    """A run (or single step) to be generated.

    :param at: start in microseconds since 1970
    :param order: tie-breaker, unique within a month
    :param tenant: number of the tenant
    :param kind: why it is there
    :param detail: the hostile case, or the number of the special run within its tenant
    """

    at: int
    order: int
    tenant: int
    kind: Kind
    detail: str


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of a naive UTC time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def timestamp(at: int) -> str:
    """A time in microseconds since 1970 as PostgreSQL's timestamp text."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat(" ")


def appointments(profile: Profile) -> Iterator[Appointment]:
    """All runs in order of their start; flat in memory but for one month's list."""
    rng = random.Random(f"{profile.seed}/calendar")
    for month in range(profile.months):
        yield from sorted(_of_month(rng, profile, month))


def _of_month(rng: random.Random, profile: Profile, month: int) -> Iterator[Appointment]:
    start, end = (microseconds(moment) for moment in profile.month_starts[month : month + 2])
    fixed = {
        Kind.FIRST_INSTANT: start,
        Kind.LAST_MICROSECOND: end - 1,
        Kind.CROSSING: end - SECOND // 10,
        Kind.TIE: start + 36 * 3600 * SECOND + 123_456,
    }
    for order, (tenant, kind, detail) in enumerate(_kinds(profile, month)):
        at = fixed[kind] if kind in fixed else _working_time(rng, start, end)
        yield Appointment(at, order, tenant, kind, detail)


def _kinds(profile: Profile, month: int) -> Iterator[tuple[int, Kind, str]]:
    """Tenant, kind and detail of every run of a month."""
    last = month == profile.months - 1
    for tenant, count in enumerate(profile.runs_by_tenant):
        kinds = [(Kind.ORDINARY, "")] * count
        kinds += [(Kind.SINGLE_STEP, "")] * round(count * _SINGLE_STEPS)
        if profile.boundary_rows:
            kinds += [(Kind.FIRST_INSTANT, ""), (Kind.LAST_MICROSECOND, "")]
            kinds += [(Kind.TIE, "")] * 3
            kinds += [] if last else [(Kind.CROSSING, "")]
        kinds += _open_kinds(profile, month)
        kinds += [
            (Kind.OFFLOADED, str(number))
            for number in range(profile.offloaded)
            if number % profile.months == month
        ]
        for kind, detail in kinds:
            yield tenant, kind, detail
    for number, case in enumerate(HOSTILE_VALUES if profile.hostile_rows else ()):
        if number // profile.tenants % profile.months == month:
            yield number % profile.tenants, Kind.HOSTILE, case
    for number in range(0 if month else profile.orphan_offloads):
        yield 0, Kind.ORPHAN_OFFLOAD, str(number)


def _open_kinds(profile: Profile, month: int) -> list[tuple[Kind, str]]:
    """The open runs of a tenant: most are recent, one of several has been open for months."""
    last = profile.months - 1
    kinds = [
        (kind, str(number))
        for number in range(profile.unsettled)
        if month == (0 if number == 0 and profile.unsettled > 1 else last)
        for kind in (Kind.RUNNING, Kind.PAUSED, Kind.SCHEDULED)
    ]
    if profile.unsettled and month == last:
        kinds.append((Kind.SINGLE_STEP_RUNNING, ""))
    return kinds


def _working_time(rng: random.Random, start: int, end: int) -> int:
    day = 24 * 3600 * SECOND
    while True:
        hour = rng.choices(range(24), cum_weights=_CUMULATED)[0]
        at = start + rng.randrange((end - start) // day) * day
        at += hour * 3600 * SECOND + rng.randrange(3600 * SECOND)
        if start < at < end - _QUIET_END:
            return at
