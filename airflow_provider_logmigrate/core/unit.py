"""Periods and units: the atoms of planning, copying, proof, cut-over and purge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import Enum

from airflow_provider_logmigrate.core.naming import decode_tenant, encode_tenant

UTC = timezone.utc

_LABEL = re.compile(r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?")


class Granularity(str, Enum):
    """Length of a period."""

    MONTH = "month"
    DAY = "day"


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Half-open UTC interval ``[start, end)`` of event time.

    Half-open, so that neighbouring periods share no row and lose none, whatever the resolution.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is not UTC or self.end.tzinfo is not UTC:
            raise ValueError("a period needs UTC datetimes")
        if self.start >= self.end:
            raise ValueError(f"empty period {self.start} .. {self.end}")

    @property
    def label(self) -> str:
        """``2025-01`` for a whole month, ``2025-01-31`` for a day. :raises ValueError: neither."""
        if self == month_of(self.start):
            return self.start.isoformat()[:7]
        if self == day_of(self.start):
            return self.start.isoformat()[:10]
        raise ValueError(f"neither a month nor a day: {self.start} .. {self.end}")

    @classmethod
    def from_label(cls, label: str) -> Period:
        """Inverse of :attr:`label`. :raises ValueError: not a month or day."""
        if not _LABEL.fullmatch(label):
            raise ValueError(f"neither a month nor a day: {label!r}")
        first = date.fromisoformat(label if len(label) == 10 else f"{label}-01")
        moment = datetime(first.year, first.month, first.day, tzinfo=UTC)
        return day_of(moment) if len(label) == 10 else month_of(moment)


def month_of(moment: datetime) -> Period:
    """The UTC month that contains ``moment``. :raises ValueError: see :func:`day_of`."""
    start = _midnight(moment).replace(day=1)
    return Period(start, _later(start.replace(day=28), days=4).replace(day=1))


def day_of(moment: datetime) -> Period:
    """The UTC day that contains ``moment``.

    :raises ValueError: ``moment`` has no time zone, or the period ends behind the year 9999.
    """
    start = _midnight(moment)
    return Period(start, _later(start, days=1))


def _midnight(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"no time zone: {moment}")
    utc = moment.astimezone(UTC)
    return datetime(utc.year, utc.month, utc.day, tzinfo=UTC)


def _later(moment: datetime, *, days: int) -> datetime:
    try:
        return moment + timedelta(days=days)
    except OverflowError:
        raise ValueError("no period ends behind the year 9999") from None


def periods(*, first: date, last: date, granularity: Granularity) -> Iterator[Period]:
    """Whole periods that touch the days ``first`` to ``last``, both included, oldest first.

    An end date given as a day includes that day: the classic loss of the last day of a range
    can't happen, because only whole periods come out.
    """
    of = month_of if granularity is Granularity.MONTH else day_of
    moment = datetime(first.year, first.month, first.day, tzinfo=UTC)
    stop = datetime(last.year, last.month, last.day, tzinfo=UTC)
    while True:
        period = of(moment)
        if period.start > stop:
            return
        yield period
        moment = period.end


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """(stream, tenant, period). The tenant is a value, never a pattern."""

    stream: str
    tenant: str
    period: Period

    @property
    def key(self) -> str:
        """Text form ``stream/tenant/period``, reversible for every tenant name."""
        return f"{self.stream}/{encode_tenant(self.tenant)}/{self.period.label}"

    @classmethod
    def from_key(cls, key: str) -> Unit:
        """Inverse of :attr:`key`. :raises ValueError: malformed."""
        stream, tenant, label = key.split("/")
        return cls(stream, decode_tenant(tenant), Period.from_label(label))
