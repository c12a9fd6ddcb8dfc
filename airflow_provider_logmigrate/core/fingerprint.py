"""Hourly fingerprint buckets and their comparison.

Each row has a 64-bit fingerprint, cut into two 32-bit halves that both sides can sum. The engine
sums in doubles, which are exact up to 2**53: so a bucket is exact up to 2**21 rows; above that
the comparison lists the bucket's ids instead of trusting the sum.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

FIELD = "logmigrate"
"""A document's member that holds its row's fingerprint: ``{"high": …, "low": …}``."""

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)

EXACT_BUCKET_ROWS = 2**21
"""Most rows whose 32-bit halves add up exactly in a double (2**53 / 2**32)."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One hour of event time: row count and the sums of both fingerprint halves."""

    count: int
    high: int
    low: int

    def __add__(self, other: Bucket) -> Bucket:
        return Bucket(self.count + other.count, self.high + other.high, self.low + other.low)


EMPTY = Bucket(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Summary:
    """One side of a unit.

    :param buckets: by the hour's start (UTC).
    :param held_back: rows of the source that aren't settled; 0 for a target.
    :param pending: source rows younger than the settle lag; 0 for a target.
    :param outside: documents without a usable event time; 0 for a source.
    :param gone: rows of the buckets that the source doesn't have any more, because they were
        purged; 0 for a target.
    :param max_event_time: youngest settled row, the unit's real age.
    """

    buckets: Mapping[datetime, Bucket] = field(default_factory=dict)
    held_back: int = 0
    pending: int = 0
    outside: int = 0
    max_event_time: datetime | None = None
    gone: int = 0

    @property
    def total(self) -> Bucket:
        """Sum over all hours."""
        total = EMPTY
        for bucket in self.buckets.values():
            total = total + bucket
        return total


def differing_hours(source: Summary, target: Summary) -> Iterator[datetime]:
    """Hours whose ids must be listed, oldest first: sums differ or are too big to be exact."""
    return differing_buckets(source.buckets, target.buckets)


def differing_buckets(
    source: Mapping[datetime, Bucket], target: Mapping[datetime, Bucket]
) -> Iterator[datetime]:
    """The same of any buckets."""
    for start in sorted(source.keys() | target.keys()):
        left, right = source.get(start, EMPTY), target.get(start, EMPTY)
        if left != right or left.count > EXACT_BUCKET_ROWS:
            yield start


def ranges(starts: Collection[datetime], width: timedelta) -> list[tuple[datetime, datetime]]:
    """Half-open ranges that cover just the buckets of this width that begin then."""
    found: list[tuple[datetime, datetime]] = []
    for start in sorted(starts):
        begin = found.pop()[0] if found and found[-1][1] == start else start
        found.append((begin, start + width))
    return found
