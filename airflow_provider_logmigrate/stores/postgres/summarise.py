"""One side of a proof: hourly sums, keys of an hour, rows by key. Read-only, bounded memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.fingerprint import Bucket, Summary
from airflow_provider_logmigrate.core.ports import KeyPrint, TimeRange
from airflow_provider_logmigrate.core.together import both
from airflow_provider_logmigrate.core.unit import UTC, Unit
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col
from airflow_provider_logmigrate.stores.postgres.session import Sessions

KEYS_PER_FETCH = 5_000
SECOND_SESSION_ROWS = 5_000
"""Rows from which on a second connection is worth its price: about what 50 ms get through."""


def summarise(
    sessions: Sessions, rows: RowSql, unit: Unit, *, upper: datetime, parts: Sequence[TimeRange]
) -> Summary:
    """Hourly buckets of a unit, one statement per part (a day where an index serves it)."""
    queries = [summary_query(rows, unit.tenant, part, upper) for part in parts]
    buckets: dict[datetime, Bucket] = {}
    held_back = pending = 0
    youngest: datetime | None = None
    for hour, count, high, low, last, unsettled, young in StatementsInTwo(sessions, queries).run():
        held_back += unsettled
        pending += young
        if count:
            buckets[hour.replace(tzinfo=UTC)] = Bucket(count, int(high), int(low))
            newest = last.replace(tzinfo=UTC)
            youngest = max(youngest, newest) if youngest else newest
    return Summary(buckets, held_back=held_back, pending=pending, max_event_time=youngest)


class StatementsInTwo:
    """Runs the statements of a summary, and halves the time of a long one by a second session.

    Each row costs the server a few microseconds of pure computing, so one backend leaves the
    server's other cores idle. Never more than two: it is a production database.
    """

    def __init__(self, sessions: Sessions, queries: Iterable[sql.Composable]) -> None:
        self._sessions = sessions
        self._queries = iter(queries)
        self._lock = threading.Lock()
        self._found: list[tuple[Any, ...]] = []
        self._rows = 0

    def run(self) -> list[tuple[Any, ...]]:
        """All statements' rows, in no order. Returns or raises when both sessions have ended."""
        self._work(until=SECOND_SESSION_ROWS)
        if self._rows >= SECOND_SESSION_ROWS:
            both(self._work, self._work)
        return self._found

    def _work(self, until: float = math.inf) -> None:
        with self._sessions.session() as session:
            while self._rows < until and (query := self._next()) is not None:
                try:
                    found = session.run(partial(_fetch, query=query))
                except BaseException:
                    with self._lock:
                        self._queries = iter(())  # the other session needn't go on
                    raise
                with self._lock:
                    self._found += found
                    self._rows += sum(count + held + young for _, count, *_, held, young in found)

    def _next(self) -> sql.Composable | None:
        with self._lock:
            return next(self._queries, None)


def summary_query(rows: RowSql, tenant: str, part: TimeRange, upper: datetime) -> sql.Composable:
    """The statement a certificate can be checked with by hand."""
    counts = sql.SQL("{} < {} AND {}").format(
        rows.event_time, rows.moment(upper), rows.settled_beside_parent
    )
    return sql.SQL(
        "SELECT date_trunc('hour', at) AS h, count(f), coalesce(sum((f >> 32) & 4294967295), 0),"
        " coalesce(sum(f & 4294967295), 0), max(at) FILTER (WHERE f IS NOT NULL),"
        " count(*) FILTER (WHERE ripe AND f IS NULL), count(*) FILTER (WHERE NOT ripe)"
        " FROM (SELECT {at} AS at, {at} < {upper} AS ripe, CASE WHEN {counts} THEN {bits} END AS f"
        " FROM {table} WHERE {within} OFFSET 0) AS r GROUP BY h ORDER BY h"
    ).format(
        at=rows.event_time,
        upper=rows.moment(upper),
        counts=counts,
        bits=_bits(rows),
        table=rows.with_parent,
        within=rows.within(tenant, part.start, part.end),
    )


def keys(
    sessions: Sessions, rows: RowSql, unit: Unit, *, hour: datetime, upper: datetime
) -> Iterator[KeyPrint]:
    """Keys and fingerprints of one hour in the order of the key's bytes, streamed."""
    query = sql.SQL(
        "SELECT key, (f >> 32) & 4294967295, f & 4294967295 FROM"
        " (SELECT {key}::text AS key, {bits} AS f FROM {table}"
        " WHERE {within} AND {at} < {upper} AND {settled} OFFSET 0) AS r"
        ' ORDER BY key COLLATE "C"'
    ).format(
        key=rows.key,
        bits=_bits(rows),
        table=rows.with_parent,
        within=rows.within(unit.tenant, hour, hour + timedelta(hours=1)),
        at=rows.event_time,
        upper=rows.moment(upper),
        settled=rows.settled_beside_parent,
    )
    with sessions.open() as connection:
        connection.autocommit = False  # a server-side cursor needs a transaction: one hour's keys
        with connection.cursor(name="logmigrate_keys") as cursor:
            cursor.itersize = KEYS_PER_FETCH
            cursor.execute(query)
            for key, high, low in cursor:
                yield KeyPrint(key, high, low)


def _bits(rows: RowSql) -> sql.Composable:
    """The fingerprint's first 64 bits as a number: both halves from one conversion."""
    return sql.SQL("('x' || left({}, 16))::bit(64)::bigint").format(rows.fingerprint)


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


def _fetch(connection: PgConnection, query: sql.Composable) -> list[tuple]:  # type: ignore[type-arg]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
