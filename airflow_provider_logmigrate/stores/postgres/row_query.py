"""Queries for rows as the copy reads them: which ones, and what each carries."""

from __future__ import annotations

from psycopg2 import sql

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.ports import TimeRange
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql


def row_condition(
    rows: RowSql, tenant: str, part: TimeRange, position: Cursor | None
) -> sql.Composable:
    """Settled rows of a tenant in a range, behind a position: for rows of ``with_parent``."""
    parts = [rows.within(tenant, part.start, part.end), rows.settled_beside_parent]
    if position is not None:
        parts.append(rows.after(position.event_time, position.key))
    return sql.SQL(" AND ").join(parts)


def copied_fields(rows: RowSql) -> sql.Composable:
    """Key, fingerprint, offload list where there is one, then all columns: what a row carries."""
    fields = [rows.key_value, rows.fingerprint]
    if rows.offloaded is not None:
        fields.append(rows.offloaded)
    fields += [rows.value(column) for column in rows.shape.columns]
    return sql.SQL(", ").join(fields)


def copied(rows: RowSql, chosen: sql.Composable) -> sql.Composable:
    """What a row carries, for each chosen row.

    :param chosen: what follows FROM; it must end in a LIMIT or an OFFSET.
    """
    return sql.SQL("SELECT {} FROM (SELECT {} FROM {}) AS w").format(
        copied_fields(rows), rows.unpacked, chosen
    )


def page_query(rows: RowSql, condition: sql.Composable, *, limit: int) -> sql.Composable:
    """One keyset page."""
    chosen = sql.SQL("{} WHERE {} ORDER BY {} LIMIT {}").format(
        rows.with_parent, condition, rows.order, sql.Literal(limit)
    )
    # The order again, since a subquery's ends at its parentheses; the planner sees it and sorts
    # nothing.
    return sql.SQL("{} ORDER BY {}").format(copied(rows, chosen), rows.order)
