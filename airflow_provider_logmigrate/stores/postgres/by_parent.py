"""Children by their parents' keys: for child tables that no index on event time serves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.ports import TimeRange
from airflow_provider_logmigrate.core.stream import Parent
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, cast_type, col
from airflow_provider_logmigrate.stores.postgres.session import Session

PARENTS_PER_SCAN = 200_000
"""Parents listed by one statement: about 50 MB of memory."""
PARENT_SLACK = "1 day"
"""A child may be written this long after its parent ended; later ones are found by the proof."""


def parents(
    session: Session,
    rows: RowSql,
    parent: Parent,
    *,
    tenant: str,
    part: TimeRange,
    after: Cursor | None,
) -> Iterator[tuple[str, str]]:
    """(event time, key) of the parents whose life touches the range, in that order."""
    position = after
    while True:
        query = _parent_query(rows, parent, tenant=tenant, part=part, after=position)
        listed = session.run(partial(_fetch, query=query))
        yield from listed
        if len(listed) < PARENTS_PER_SCAN:
            return
        position = Cursor(*listed[-1])


def _parent_query(
    rows: RowSql, parent: Parent, *, tenant: str, part: TimeRange, after: Cursor | None
) -> sql.Composable:
    at, key = sql.Identifier("p", parent.event_time), sql.Identifier("p", parent.key)
    ended = sql.Identifier("p", parent.ended_at) if parent.ended_at else sql.NULL
    behind: sql.Composable = sql.SQL("true")
    if after is not None:
        behind = sql.SQL("({}, {}::text) > ({}, {})").format(
            at, key, rows.moment(after.event_time), sql.Literal(after.key)
        )
    return sql.SQL(
        "SELECT {at}::timestamptz::text, {key}::text FROM {parents} AS p"
        " WHERE p.{tenant} = {value} AND {at} < {end}"
        " AND ({at} >= {start} OR {ended} IS NULL OR {ended} >= {start} - {slack}::interval)"
        " AND {behind} ORDER BY {at}, {key}::text LIMIT {limit}"
    ).format(
        at=at,
        key=key,
        parents=identifier(parent.table),
        tenant=sql.Identifier(rows.stream.tenant_column),
        value=sql.Literal(tenant),
        end=rows.moment(part.end),
        start=rows.moment(part.start),
        ended=ended,
        slack=sql.Literal(PARENT_SLACK),
        behind=behind,
        limit=sql.Literal(PARENTS_PER_SCAN),
    )


def children(rows: RowSql, parent: Parent, keys: list[str]) -> sql.Composable:
    """``w.foreign_key = ANY(...)``."""
    column = rows.shape.column(parent.foreign_key)
    return sql.SQL("{} = ANY({}::{}[])").format(
        col(column.name), sql.Literal(keys), sql.SQL(cast_type(column))
    )


def without_parent(parent: Parent) -> sql.Composable:
    """Rows that name no parent."""
    return sql.SQL("{} IS NULL").format(col(parent.foreign_key))


def _fetch(connection: PgConnection, query: sql.Composable) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
