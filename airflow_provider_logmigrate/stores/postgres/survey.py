"""How many rows tenants have in each period: one pass over a table for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.plan import Estimate
from airflow_provider_logmigrate.core.survey import Counting, Survey, choose_counting
from airflow_provider_logmigrate.core.unit import UTC, Period
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from airflow_provider_logmigrate.stores.postgres.session import PAGE_PLAN, Sessions

Cell = tuple[int, int]
"""Positions of a tenant and a period in their lists."""


def survey_all(
    sessions: Sessions,
    rows: RowSql,
    tenants: Sequence[str],
    periods: Sequence[Period],
    *,
    bytes_per_row: float,
    indexed: bool = False,
    counting: Counting = Counting.EXACT,
) -> Survey:
    """Rows of many tenants by period, in one pass over the table if they are counted.

    A name that this table's tenant column can't hold has no rows.

    :param indexed: an index leads on tenant and event time.
    """
    tenants = [tenant for tenant in tenants if rows.may_be_tenant(tenant)]
    periods = sorted(periods)
    if not tenants or not periods:
        return Survey({})
    expected = None
    if indexed and counting is Counting.AUTO:
        expected = sessions.run(
            partial(_expected, condition=_range(rows, tenants, periods), rows=rows)
        )
    exact, note = choose_counting(counting, indexed=indexed, expected=expected)
    found: Iterable[tuple[Cell, int, int, datetime | None]]
    if exact:
        found = _counted(sessions, rows, tenants, periods)
    else:
        found = _estimated(sessions, rows, tenants, periods)
    by_tenant: dict[str, dict[Period, Estimate]] = {}
    for (tenant, period), settled, unsettled, newest in sorted(found, key=lambda one: one[0]):
        by_tenant.setdefault(tenants[tenant], {})[periods[period]] = Estimate(
            settled,
            int(settled * bytes_per_row),
            exact=exact,
            held_back=unsettled,
            newest=newest,
        )
    return Survey(by_tenant, f"{rows.stream.name}: {note}" if note else "")


def tenant_exists(sessions: Sessions, rows: RowSql, tenant: str) -> bool:
    """True if the tenant has any row at all."""
    query = sql.SQL("SELECT 1 FROM {} WHERE {} LIMIT 1").format(rows.table, rows.tenant(tenant))
    return bool(sessions.run(partial(_fetch, query=query)))


def _counted(
    sessions: Sessions, rows: RowSql, tenants: Sequence[str], periods: Sequence[Period]
) -> Iterable[tuple[Cell, int, int, datetime | None]]:
    # Tenants are matched by the database, in the column's own type: `7` and `007` may be one.
    query = sql.SQL(
        "SELECT t.n, g.start, g.settled, g.whole - g.settled, g.newest"
        " FROM unnest({tenants}) WITH ORDINALITY AS t(tenant, n) JOIN"
        " (SELECT {column} AS tenant, date_trunc({length}, {at}) AS start,"
        " count(*) AS whole, count(*) FILTER (WHERE {settled}) AS settled,"
        " max({at}) FILTER (WHERE {settled}) AS newest"
        " FROM {table} WHERE {within} GROUP BY 1, 2) AS g ON g.tenant = t.tenant"
    ).format(
        tenants=rows.tenant_array(tenants),
        column=rows.tenant_column,
        length=sql.Literal("month" if periods[0].label.count("-") == 1 else "day"),
        at=rows.event_time,
        settled=rows.settled,
        table=rows.table,
        within=_range(rows, tenants, periods),
    )
    position = {period.start: number for number, period in enumerate(periods)}
    for tenant, start, settled, unsettled, last in sessions.run(partial(_fetch, query=query)):
        period = position.get(start.replace(tzinfo=UTC))
        if period is not None:
            newest = last.replace(tzinfo=UTC) if last is not None else None
            yield (tenant - 1, period), settled, unsettled, newest


def _estimated(
    sessions: Sessions, rows: RowSql, tenants: Sequence[str], periods: Sequence[Period]
) -> Iterable[tuple[Cell, int, int, datetime | None]]:
    """Periods that hold any row, each found with one look into the index; sizes as planned."""
    query = sql.SQL(
        "SELECT t.n, p.n FROM unnest({tenants}) WITH ORDINALITY AS t(tenant, n)"
        " CROSS JOIN (VALUES {periods}) AS p(n, start, stop)"
        " CROSS JOIN LATERAL (SELECT 1 FROM {table} WHERE {column} = t.tenant"
        " AND {at} >= p.start AND {at} < p.stop LIMIT 1) AS one"
    ).format(
        tenants=rows.tenant_array(tenants),
        periods=sql.SQL(", ").join(
            sql.SQL("({}, {}, {})").format(
                sql.Literal(number), rows.moment(period.start), rows.moment(period.end)
            )
            for number, period in enumerate(periods)
        ),
        table=rows.table,
        column=rows.tenant_column,
        at=rows.event_time,
    )
    with sessions.session(PAGE_PLAN) as session:
        for tenant, period in session.run(partial(_fetch, query=query)):
            part = [periods[period]]
            condition = _range(rows, [tenants[tenant - 1]], part)
            expected = session.run(partial(_expected, condition=condition, rows=rows))
            yield (tenant - 1, period), max(1, int(expected)), 0, None


def _range(rows: RowSql, tenants: Sequence[str], periods: Sequence[Period]) -> sql.Composable:
    return sql.SQL("{column} = ANY({tenants}) AND {at} >= {start} AND {at} < {end}").format(
        column=rows.tenant_column,
        tenants=rows.tenant_array(tenants),
        at=rows.event_time,
        start=rows.moment(periods[0].start),
        end=rows.moment(periods[-1].end),
    )


def _expected(connection: PgConnection, *, condition: sql.Composable, rows: RowSql) -> float:
    """Rows that the planner expects to meet a condition."""
    query = sql.SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {} WHERE {}").format(rows.table, condition)
    ((plans,),) = _fetch(connection, query)
    return float(plans[0]["Plan"]["Plan Rows"])


def _fetch(connection: PgConnection, query: sql.Composable) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
