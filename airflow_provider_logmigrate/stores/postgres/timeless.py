"""Rows that belong to no period because their event time is NULL or infinite."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, cast_type
from airflow_provider_logmigrate.stores.postgres.session import PAGE_PLAN, Sessions

_ENDS = ("infinity", "-infinity")


def timeless_note(sessions: Sessions, rows: RowSql, tenants: Sequence[str]) -> str:
    """A warning that says how many there are; empty if there are none.

    A few looks into an index on tenant and event time; without one it reads the whole table.
    """
    tenants = [tenant for tenant in tenants if rows.may_be_tenant(tenant)]
    at = rows.event_time
    kind = sql.SQL(cast_type(rows.shape.column(rows.stream.event_time)))
    conditions = [
        sql.SQL("{} IS NULL").format(at),
        *(sql.SQL("{} = {}::{}").format(at, sql.Literal(end), kind) for end in _ENDS),
    ]
    query = sql.SQL("SELECT {}").format(
        sql.SQL(" + ").join(
            sql.SQL("(SELECT count(*) FROM {} WHERE {} = ANY({}) AND {})").format(
                rows.table, rows.tenant_column, rows.tenant_array(tenants), condition
            )
            for condition in conditions
        )
    )

    def count(connection: PgConnection) -> int:
        with connection.cursor() as cursor:
            cursor.execute(query)
            answer = cursor.fetchone()
        return int(answer[0]) if answer else 0

    with sessions.session(PAGE_PLAN) as session:
        found = session.run(count)
    if not found:
        return ""
    return (
        f"{rows.stream.name}: {found:,} row(s) have NULL or infinity as {rows.stream.event_time}:"
        " they belong to no period and are neither copied nor deleted"
    )
