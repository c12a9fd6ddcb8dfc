"""Reading a part of a sweep: a walk through blocks, each row routed to its unit.

One statement per range of blocks, with no transaction around it. Every row says where it lies, so a
read goes on behind any row. Rows that belong to no unit come as a few bytes with the reason and are
counted; nothing of them is rendered, on neither side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import PlanUnusable, SourceUnsuitable
from airflow_provider_logmigrate.core.sweep import Part, Place, SweepPlan
from airflow_provider_logmigrate.core.sweep_ports import Find, MixedChunk, UnitFinding
from airflow_provider_logmigrate.core.unit import Granularity
from airflow_provider_logmigrate.stores.postgres.blocks import (
    BLOCK_PLAN,
    between,
    from_only,
    version_now,
)
from airflow_provider_logmigrate.stores.postgres.offload import ContentReader
from airflow_provider_logmigrate.stores.postgres.page_size import PageSize
from airflow_provider_logmigrate.stores.postgres.render import COPY_OPTIONS
from airflow_provider_logmigrate.stores.postgres.routed_rows import RoutedRows
from airflow_provider_logmigrate.stores.postgres.row_query import copied
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from airflow_provider_logmigrate.stores.postgres.session import Sessions
from airflow_provider_logmigrate.stores.postgres.settled_sql import with_parent

FIRST_BLOCKS, MOST_BLOCKS = 64, 8_192
"""Blocks read by one statement at first, and at most: half a megabyte and 64 MB of the table."""


class PartReader:
    """Implements :meth:`~airflow_provider_logmigrate.core.sweep_ports.PartSource.read_part`.

    :param streams: SQL of every stream, by name.
    :param content: reads offloaded content.
    :param inline_limit: bytes of one offloaded object that are inlined at most.
    """

    def __init__(
        self,
        sessions: Sessions,
        streams: Mapping[str, RowSql],
        *,
        content: ContentReader,
        inline_limit: int,
    ) -> None:
        self._sessions, self._streams = sessions, streams
        self._content, self._inline_limit = content, inline_limit

    def rows_of(self, stream: str) -> RowSql:
        """A stream's SQL. :raises PlanUnusable: the source doesn't have the stream."""
        rows = self._streams.get(stream)
        if rows is None:
            raise PlanUnusable("the source has no such stream (any more)", where=stream)
        return rows

    def read_part(
        self,
        plan: SweepPlan,
        part: Part,
        *,
        after: Place,
        find: Find,
        emit: Callable[[MixedChunk], None],
        report: Callable[[UnitFinding], None],
        stop: Stop,
        chunk_bytes: Callable[[], int],
        before_page: Callable[[], None],
    ) -> None:
        """See the port."""
        rows = self.rows_of(part.stream)
        with self._sessions.session(BLOCK_PLAN, stop=stop) as session:
            tenants = session.run(lambda c: tenants_as_stored(c, rows, plan.tenants))
            routed = RoutedRows(
                rows,
                after=after,
                tenants=tenants,
                monthly=plan.granularity is Granularity.MONTH,
                find=find,
                emit=emit,
                report=report,
                chunk_bytes=chunk_bytes,
                content=self._content,
                inline_limit=self._inline_limit,
            )
            select = select_part(rows, plan, part, list(tenants))
            size = PageSize(first=FIRST_BLOCKS, most=MOST_BLOCKS)
            block = after.block
            while block < part.end:
                stop.check(part.key)
                before_page()
                end = min(part.end, block + size.rows)
                before = routed.bytes_seen
                page = partial(_copy, part=part, end=end, select=select, into=routed)
                session.run(page, progress=lambda: routed.rows_seen)
                routed.end_page(end)
                size.observe(rows=end - block, size=routed.bytes_seen - before)
                block = end


def _copy(
    connection: PgConnection,
    *,
    part: Part,
    end: int,
    select: Callable[[Place, int], sql.Composable],
    into: RoutedRows,
) -> None:
    """One range of blocks, or what is missing of it after it broke off: no row is read twice."""
    into.begin_page(version_now(connection, part))
    query = select(into.place, end)
    with connection.cursor() as cursor:
        cursor.copy_expert(
            sql.SQL("COPY ({}) TO STDOUT {}").format(query, sql.SQL(COPY_OPTIONS)), into
        )


def select_part(
    rows: RowSql, plan: SweepPlan, part: Part, tenants: Sequence[str]
) -> Callable[[Place, int], sql.Composable]:
    """Place, day or reason, tenant, then what the renderer expects, NULL for rows passed over.

    Laterals, so that the rule of what is settled is evaluated once and only where it matters, and
    no field of a row that isn't wanted is computed at all.
    """
    wanted = sql.SQL("(SELECT w.*) AS w WHERE length(r.token) > 1 OFFSET 0")
    template = sql.SQL(
        "SELECT w.ctid, r.token, {tenant}::text, d.* FROM {table}"
        " CROSS JOIN LATERAL (SELECT {token} AS token OFFSET 0) AS r"
        " LEFT JOIN LATERAL ({copied}) AS d ON true WHERE "
    ).format(
        tenant=rows.tenant_column,
        table=with_parent(from_only(part.relation), rows.stream.settled),
        token=_token(rows, plan, tenants),
        copied=copied(rows, wanted),
    )
    return lambda after, end: sql.Composed([template, between(after, end)])


def _token(rows: RowSql, plan: SweepPlan, tenants: Sequence[str]) -> sql.Composable:
    """The day (UTC) of a row that is wanted, else a letter that says why it isn't."""
    return sql.SQL(
        "CASE WHEN ({tenant} = ANY({tenants})) IS NOT TRUE THEN 't'"
        " WHEN ({at} >= {first} AND {at} < {end}) IS NOT TRUE THEN 'r'"
        " WHEN {at} >= {ripe} THEN 'p' WHEN {settled} THEN {at}::date::text ELSE 'h' END"
    ).format(
        tenant=rows.tenant_column,
        tenants=rows.tenant_array(tenants),
        at=rows.event_time,
        first=rows.moment(plan.first),
        end=rows.moment(plan.end),
        ripe=rows.moment(plan.ripe),
        settled=rows.settled_beside_parent,
    )


def tenants_as_stored(
    connection: PgConnection, rows: RowSql, tenants: Sequence[str]
) -> dict[str, str]:
    """The tenants as the column prints them -> as the migration names them.

    A tenant that the column can't hold has no rows and is left out.

    :raises SourceUnsuitable: two tenants of the migration are one for the column.
    """
    possible = [tenant for tenant in tenants if rows.may_be_tenant(tenant)]
    query = sql.SQL("SELECT t::text FROM unnest({}) WITH ORDINALITY AS u(t, n) ORDER BY n").format(
        rows.tenant_array(possible)
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        stored = [text for (text,) in cursor.fetchall()]
    found: dict[str, str] = {}
    for text, tenant in zip(stored, possible, strict=True):
        if text in found:
            raise SourceUnsuitable(
                f"{found[text]!r} and {tenant!r} are one tenant for the table's column",
                where=f"{rows.stream.table}, column {rows.stream.tenant_column}",
                next_step="name the tenant once in the configuration",
            )
        found[text] = tenant
    return found
