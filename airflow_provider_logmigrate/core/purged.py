"""A source as it was before its purge: proofs go on to hold when proven rows have left.

What was purged stands in the ledger by hour, as counts and sums of fingerprints. Together with the
rows that are still there it must give what the index holds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket, Summary
from airflow_provider_logmigrate.core.plan import Estimate, UnitPlan
from airflow_provider_logmigrate.core.ports import (
    Framing,
    KeyPrint,
    ReadRequest,
    Source,
    SourceFinding,
    Target,
)
from airflow_provider_logmigrate.core.unit import Period

UNACCOUNTED = "(purged rows of this hour that no document accounts for)"
"""Stands in a finding for rows that are in neither store any more."""


class PurgedSource:
    """Implements :class:`~core.ports.Source` for one unit with purged rows.

    :param target: asked which documents have no row, in hours with purged rows that differ.
    :param gone: what was purged, by hour.
    """

    def __init__(self, source: Source, target: Target, gone: Mapping[datetime, Bucket]) -> None:
        self._source, self._target, self._gone = source, target, gone

    def summarise(
        self,
        plan: UnitPlan,
        *,
        upper: datetime,
        prints: bool = True,
        hours: Collection[datetime] | None = None,  # noqa: ARG002 - all are counted
        minutes: bool = False,  # noqa: ARG002 - what was purged is known by hour
    ) -> Summary:
        """What is there and what was purged; ``gone`` says how much the latter is."""
        found = self._source.summarise(plan, upper=upper, prints=prints)
        buckets = dict(found.buckets)
        for hour, bucket in self._gone.items():
            purged = bucket if prints else Bucket(bucket.count, 0, 0)
            buckets[hour] = buckets.get(hour, EMPTY) + purged
        gone = sum(bucket.count for bucket in self._gone.values())
        return replace(found, buckets=buckets, gone=gone)

    def keys(
        self,
        plan: UnitPlan,
        *,
        hours: Sequence[datetime],
        upper: datetime,
        minutes: Collection[datetime] | None = None,  # noqa: ARG002 - likewise
    ) -> Iterator[KeyPrint]:
        """Rows of the hours, purged ones included; see :meth:`_of_hour`."""
        found = [self._of_hour(plan, hour, upper) for hour in hours]
        return heapq.merge(*found, key=lambda one: one.key.encode())

    def _of_hour(self, plan: UnitPlan, hour: datetime, upper: datetime) -> Iterator[KeyPrint]:
        """Rows of an hour, purged ones included.

        Their keys are those of the hour's documents without a row, if these add up to exactly what
        was purged; otherwise one key stands for all of them, which no document has.
        """
        purged = self._gone.get(hour)
        rows = self._source.keys(plan, hours=[hour], upper=upper)
        if purged is None:
            return rows
        alone = self._alone(plan, hour, upper, most=purged.count)
        total = EMPTY
        for found in alone:
            total = total + Bucket(1, found.high, found.low)
        if total != purged:
            alone = [KeyPrint(UNACCOUNTED, -1, -1)]
        return heapq.merge(rows, alone, key=lambda found: found.key.encode())

    def _alone(
        self, plan: UnitPlan, hour: datetime, upper: datetime, *, most: int
    ) -> list[KeyPrint]:
        """Documents without a row, one more than ``most`` at most."""
        rows = self._source.keys(plan, hours=[hour], upper=upper)
        row = next(rows, None)
        alone: list[KeyPrint] = []
        for document in self._target.keys(plan, hours=[hour]):
            while row is not None and row.key.encode() < document.key.encode():
                row = next(rows, None)
            if row is None or row.key != document.key:
                alone.append(document)
                if len(alone) > most:
                    break
        return alone

    def survey(
        self, stream: str, tenant: str, periods: Sequence[Period]
    ) -> Mapping[Period, Estimate]:
        """What is there."""
        return self._source.survey(stream, tenant, periods)

    def read(
        self,
        request: ReadRequest,
        *,
        framing: Framing,
        emit: Callable[[Chunk], None],
        report: Callable[[SourceFinding], None],
        stop: Stop,
    ) -> None:
        """What is there."""
        self._source.read(request, framing=framing, emit=emit, report=report, stop=stop)

    def rows(
        self, plan: UnitPlan, keys: Sequence[str]
    ) -> Iterator[tuple[str, Mapping[str, str | None]]]:
        """What is there."""
        return self._source.rows(plan, keys)
