"""One side of a proof: hourly sums, keys of an hour, rows by key. Read-only, bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.fingerprint import Bucket, Summary
from airflow_provider_logmigrate.core.plan import Estimate
from airflow_provider_logmigrate.core.ports import KeyPrint, TimeRange
from airflow_provider_logmigrate.core.unit import UTC, Period, Unit
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col
from airflow_provider_logmigrate.stores.postgres.session import Sessions

KEYS_PER_FETCH = 5_000


def summarise(
    sessions: Sessions, rows: RowSql, unit: Unit, *, upper: datetime, parts: Sequence[TimeRange]
) -> Summary:
    """Hourly buckets of a unit, one statement per part (a day where an index serves it)."""
    buckets: dict[datetime, Bucket] = {}
    held_back = pending = 0
    youngest: datetime | None = None
    with sessions.session() as session:
        for part in parts:
            query = summary_query(rows, unit.tenant, part, upper)
            for hour, count, high, low, last, unsettled, young in session.run(
                partial(_fetch, query=query)
            ):
                held_back += unsettled
                pending += young
                if count:
                    buckets[hour.replace(tzinfo=UTC)] = Bucket(count, int(high), int(low))
                    newest = last.replace(tzinfo=UTC)
                    youngest = max(youngest, newest) if youngest else newest
    return Summary(buckets, held_back=held_back, pending=pending, max_event_time=youngest)


def summary_query(rows: RowSql, tenant: str, part: TimeRange, upper: datetime) -> sql.Composable:
    """The statement a certificate can be checked with by hand."""
    return sql.SQL(
        "SELECT h, count(f), coalesce(sum(('x' || substr(f, 1, 8))::bit(32)::bigint), 0),"
        " coalesce(sum(('x' || substr(f, 9, 8))::bit(32)::bigint), 0),"
        " max(at) FILTER (WHERE f IS NOT NULL),"
        " count(*) FILTER (WHERE ripe AND NOT settled), count(*) FILTER (WHERE NOT ripe)"
        " FROM (SELECT date_trunc('hour', at) AS h, at, ripe, settled,"
        " CASE WHEN ripe AND settled THEN f END AS f FROM"
        " (SELECT {at} AS at, {at} < {upper} AS ripe,"
        " {settled} AS settled, {fingerprint} AS f FROM {table} WHERE {within} OFFSET 0) AS r"
        ") AS s GROUP BY h ORDER BY h"
    ).format(
        at=rows.event_time,
        upper=rows.moment(upper),
        settled=rows.settled,
        fingerprint=rows.fingerprint,
        table=rows.table,
        within=rows.within(tenant, part.start, part.end),
    )


def keys(
    sessions: Sessions, rows: RowSql, unit: Unit, *, hour: datetime, upper: datetime
) -> Iterator[KeyPrint]:
    """Keys and fingerprints of one hour in the order of the key's bytes, streamed."""
    query = sql.SQL(
        "SELECT {key}::text, ('x' || substr({print}, 1, 8))::bit(32)::bigint,"
        " ('x' || substr({print}, 9, 8))::bit(32)::bigint FROM {table}"
        ' WHERE {within} AND {at} < {upper} AND {settled} ORDER BY {key}::text COLLATE "C"'
    ).format(
        key=rows.key,
        print=rows.fingerprint,
        table=rows.table,
        within=rows.within(unit.tenant, hour, hour + timedelta(hours=1)),
        at=rows.event_time,
        upper=rows.moment(upper),
        settled=rows.settled,
    )
    with sessions.open() as connection:
        connection.autocommit = False  # a server-side cursor needs a transaction: one hour's keys
        with connection.cursor(name="logmigrate_keys") as cursor:
            cursor.itersize = KEYS_PER_FETCH
            cursor.execute(query)
            for key, high, low in cursor:
                yield KeyPrint(key, high, low)


def rows_by_key(
    sessions: Sessions, rows: RowSql, unit: Unit, wanted: Sequence[str]
) -> list[tuple[str, Mapping[str, str | None]]]:
    """Rows as the database's own text, column by column."""
    names = [column.name for column in rows.shape.columns]
    query = sql.SQL("SELECT {key}::text, {columns} FROM {table} WHERE {tenant} AND {keys}").format(
        key=rows.key,
        columns=sql.SQL(", ").join(sql.SQL("{}::text").format(col(name)) for name in names),
        table=rows.table,
        tenant=rows.tenant(unit.tenant),
        keys=rows.key_in(wanted),
    )
    found = sessions.run(partial(_fetch, query=query))
    return [(key, dict(zip(names, values, strict=True))) for key, *values in found]


def survey(
    sessions: Sessions,
    rows: RowSql,
    tenant: str,
    periods: Sequence[Period],
    *,
    bytes_per_row: float,
) -> dict[Period, Estimate]:
    """Exact row counts of all periods in one pass over the table."""
    if not periods:
        return {}
    first, last = min(periods), max(periods)
    length = "month" if first.label.count("-") == 1 else "day"
    query = sql.SQL(
        "SELECT date_trunc({length}, at), count(*) FILTER (WHERE settled),"
        " count(*) FILTER (WHERE NOT settled) FROM"
        " (SELECT {at} AS at, {settled} AS settled FROM {table} WHERE {within} OFFSET 0) AS r"
        " GROUP BY 1"
    ).format(
        length=sql.Literal(length),
        at=rows.event_time,
        settled=rows.settled,
        table=rows.table,
        within=rows.within(tenant, first.start, last.end),
    )
    counted = {
        start.replace(tzinfo=UTC): (settled, unsettled)
        for start, settled, unsettled in sessions.run(partial(_fetch, query=query))
    }
    return {
        period: Estimate(settled, int(settled * bytes_per_row), exact=True, held_back=unsettled)
        for period in periods
        for settled, unsettled in [counted.get(period.start, (0, 0))]
        if settled or unsettled
    }


def tenant_exists(sessions: Sessions, rows: RowSql, tenant: str) -> bool:
    """True if the tenant has any row at all."""
    query = sql.SQL("SELECT 1 FROM {} WHERE {} LIMIT 1").format(rows.table, rows.tenant(tenant))
    return bool(sessions.run(partial(_fetch, query=query)))


def _fetch(connection: PgConnection, query: sql.Composable) -> list[tuple]:  # type: ignore[type-arg]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
