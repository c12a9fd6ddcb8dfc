"""Periods and units: the atoms of planning, copying, proof, cut-over and purge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import Enum

from airflow_provider_logmigrate.core.naming import decode_tenant, encode_tenant

UTC = timezone.utc


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
        """``2025-01`` for a whole month, ``2025-01-31`` for a day."""
        if self == month_of(self.start):
            return f"{self.start:%Y-%m}"
        return f"{self.start:%Y-%m-%d}"

    @classmethod
    def from_label(cls, label: str) -> Period:
        """Inverse of :attr:`label`. :raises ValueError: not a month or day."""
        parts = label.split("-")
        if len(parts) == 2:
            return month_of(datetime(int(parts[0]), int(parts[1]), 1, tzinfo=UTC))
        return day_of(datetime.fromisoformat(label).replace(tzinfo=UTC))


def month_of(moment: datetime) -> Period:
    """The month that contains ``moment``."""
    start = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    following = start.replace(day=28) + timedelta(days=4)
    return Period(start, following.replace(day=1))


def day_of(moment: datetime) -> Period:
    """The UTC day that contains ``moment``."""
    start = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return Period(start, start + timedelta(days=1))


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
