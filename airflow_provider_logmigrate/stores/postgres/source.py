"""The PostgreSQL source as the core sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_logmigrate.core.chunk import Chunk, Chunker
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.fingerprint import HOUR, MINUTE, Summary, ranges
from airflow_provider_logmigrate.core.plan import Estimate, ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.ports import (
    Framing,
    KeyPrint,
    ReadRequest,
    SourceFinding,
    TimeRange,
)
from airflow_provider_logmigrate.core.stream import StreamShape
from airflow_provider_logmigrate.core.survey import Counting, Survey
from airflow_provider_logmigrate.core.unit import Period
from airflow_provider_logmigrate.stores.postgres import summarise as queries
from airflow_provider_logmigrate.stores.postgres.offload import ContentReader, OffloadResolver
from airflow_provider_logmigrate.stores.postgres.preflight import Preflight
from airflow_provider_logmigrate.stores.postgres.read import Reader
from airflow_provider_logmigrate.stores.postgres.render import RowRenderer
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from airflow_provider_logmigrate.stores.postgres.session import BY_HAND, Sessions
from airflow_provider_logmigrate.stores.postgres.survey import survey_all, tenant_exists
from airflow_provider_logmigrate.stores.postgres.sweep import PartReader
from airflow_provider_logmigrate.stores.postgres.timeless import timeless_note

FEW_HOURS = 3
"""Hours are summed up by themselves if they are at most every third one."""


class PostgresSource:
    """Implements :class:`~airflow_provider_logmigrate.core.ports.Source`.

    :param streams: preflight result of every stream, by name.
    :param content: reads offloaded content; ``None`` leaves it out.
    :param inline_limit: bytes of one offloaded object that are inlined at most.
    :param counting: how closely a survey counts.
    """

    def __init__(
        self,
        sessions: Sessions,
        streams: Mapping[str, Preflight],
        *,
        page_rows: int = 20_000,
        chunk_bytes: int = 4 << 20,
        content: ContentReader | None = None,
        inline_limit: int = 8 << 20,
        counting: Counting = Counting.AUTO,
    ) -> None:
        self._sessions = sessions
        self._streams = streams
        self._rows = {
            name: RowSql(found.shape, not_null=found.facts.not_null)
            for name, found in streams.items()
        }
        self._page_rows = page_rows
        self._chunk_bytes = chunk_bytes
        self._content = content
        self._inline_limit = inline_limit
        self._counting = counting

    def shape(self, stream: str) -> StreamShape:
        """The stream's shape. :raises PlanUnusable: the source doesn't have the stream."""
        return self._of(stream).shape

    def preflight(self, stream: str) -> Preflight:
        """What was found out about a stream."""
        self._of(stream)
        return self._streams[stream]

    def survey(
        self, stream: str, tenant: str, periods: Sequence[Period]
    ) -> Mapping[Period, Estimate]:
        """Rows and bytes of a tenant's periods, found in one look.

        :raises TenantInvalid: the tenant column can't hold such a name.
        """
        self._of(stream).tenant(tenant)
        return self.survey_all(stream, [tenant], periods).of(tenant)

    def survey_all(self, stream: str, tenants: Sequence[str], periods: Sequence[Period]) -> Survey:
        """Rows and bytes of many tenants' periods, in one pass over the table."""
        looked = self.preflight(stream)
        found = survey_all(
            self._sessions,
            self._of(stream),
            tenants,
            periods,
            bytes_per_row=looked.bytes_per_row,
            indexed=looked.finds_tenants,
            counting=self._counting,
        )
        if not looked.finds_tenants:
            return found
        timeless = timeless_note(self._sessions, self._of(stream), tenants)
        return replace(found, note="; ".join(filter(None, (found.note, timeless))))

    def has_tenant(self, stream: str, tenant: str) -> bool:
        """True if the stream has any row of the tenant."""
        return tenant_exists(self._sessions, self._of(stream), tenant)

    def read(
        self,
        request: ReadRequest,
        *,
        framing: Framing,
        emit: Callable[[Chunk], None],
        report: Callable[[SourceFinding], None],
        stop: Stop,
    ) -> None:
        """See the port: chunks in cursor order, no transaction longer than a page."""
        rows = self._of(request.plan.unit.stream)
        chunker = Chunker(emit, max_bytes=request.chunk_bytes or self._chunk_bytes)
        reader: ContentReader = self._content or _NoContent()
        resolver = OffloadResolver(reader, inline_limit=self._inline_limit, report=report)
        renderer = RowRenderer(
            rows,
            framing=framing,
            chunker=chunker,
            resolve=resolver if rows.offloaded is not None else None,
            report=report,
        )
        Reader(self._sessions, rows, renderer, page_rows=self._page_rows, stop=stop).read(request)

    def parts(self) -> PartReader:
        """Reads parts of tables for all tenants at once."""
        return PartReader(
            self._sessions,
            self._rows,
            content=self._content or _NoContent(),
            inline_limit=self._inline_limit,
        )

    def summarise(
        self,
        plan: UnitPlan,
        *,
        upper: datetime,
        prints: bool = True,
        hours: Collection[datetime] | None = None,
        minutes: bool = False,
    ) -> Summary:
        """Hourly buckets; where an index serves, a statement per day or for few hours."""
        period = plan.unit.period
        parts = [TimeRange(period.start, period.end)]
        if plan.strategy is ReadStrategy.KEYSET:
            parts = list(_days(period))
            if hours is not None and len(hours) * FEW_HOURS <= len(parts) * 24:
                parts = [TimeRange(start, end) for start, end in ranges(hours, HOUR)]
        return queries.summarise(
            self._sessions,
            self._of(plan.unit.stream),
            plan.unit,
            upper=upper,
            parts=parts,
            prints=prints,
            minutes=minutes,
        )

    def by_hand(self, plan: UnitPlan, *, upper: datetime, prints: bool = True) -> dict[str, Any]:
        """How anybody gets the unit's sums: settings of the session, then the statement."""
        period = plan.unit.period
        part = TimeRange(period.start, period.end)
        rows = self._of(plan.unit.stream)
        query = queries.summary_query(rows, plan.unit.tenant, part, upper, prints=prints)
        return {"settings": list(BY_HAND), "sql": self._sessions.run(query.as_string)}

    def keys(
        self,
        plan: UnitPlan,
        *,
        hours: Sequence[datetime],
        upper: datetime,
        minutes: Collection[datetime] | None = None,
    ) -> Iterator[KeyPrint]:
        """Keys and fingerprints of some hours, or of some of their minutes."""
        rows = self._of(plan.unit.stream)
        parts = ranges(hours, HOUR) if minutes is None else ranges(minutes, MINUTE)
        return queries.keys(self._sessions, rows, plan.unit, parts=parts, upper=upper)

    def rows(
        self, plan: UnitPlan, keys: Sequence[str]
    ) -> Iterator[tuple[str, Mapping[str, str | None]]]:
        """Rows by key as text."""
        rows = self._of(plan.unit.stream)
        return iter(queries.rows_by_key(self._sessions, rows, plan.unit, keys))

    def present(self, plan: UnitPlan, keys: Sequence[str]) -> tuple[int, frozenset[str]]:
        """See :func:`queries.present`."""
        return queries.present(self._sessions, self._of(plan.unit.stream), keys)

    def _of(self, stream: str) -> RowSql:
        rows = self._rows.get(stream)
        if rows is None:
            raise PlanUnusable("the source has no such stream (any more)", where=stream)
        return rows


class _NoContent:
    """Stands in when no object storage is configured: every reference becomes a finding."""

    def read(self, key: str, *, limit: int) -> bytes | None:  # noqa: ARG002
        return None


def _days(period: Period) -> Iterator[TimeRange]:
    start = period.start
    while start < period.end:
        end = min(start + timedelta(days=1), period.end)
        yield TimeRange(start, end)
        start = end
