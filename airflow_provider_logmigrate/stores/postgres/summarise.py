"""One side of a proof: hourly sums, keys of an hour, rows by key. Read-only, bounded memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
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

NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint"
"""The server's time in microseconds: versions of documents, of which all come from one clock."""

KEYS_PER_FETCH = 5_000
SECOND_SESSION_ROWS = 5_000
"""Rows from which on a second connection is worth its price: about what 50 ms get through."""


def summarise(
    sessions: Sessions,
    rows: RowSql,
    unit: Unit,
    *,
    upper: datetime,
    parts: Sequence[TimeRange],
    prints: bool = True,
    minutes: bool = False,
) -> Summary:
    """Hourly buckets of a unit, one statement per part (a day where an index serves it).

    :param prints: False: numbers of rows only, which spares the server the fingerprints.
    :param minutes: buckets of minutes instead.
    """
    step = "minute" if minutes else "hour"
    queries = [
        summary_query(rows, unit.tenant, part, upper, prints=prints, step=step) for part in parts
    ]
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


def summary_query(
    rows: RowSql,
    tenant: str,
    part: TimeRange,
    upper: datetime,
    *,
    prints: bool = True,
    step: str = "hour",
) -> sql.Composable:
    """The statement a certificate can be checked with by hand."""
    counts = sql.SQL("{} < {} AND {}").format(
        rows.event_time, rows.moment(upper), rows.settled_beside_parent
    )
    return sql.SQL(
        "SELECT date_trunc({step}, at) AS h, count(f) AS rows,"
        " coalesce(sum((f >> 32) & 4294967295), 0) AS high,"
        " coalesce(sum(f & 4294967295), 0) AS low, max(at) FILTER (WHERE f IS NOT NULL) AS newest,"
        " count(*) FILTER (WHERE ripe AND f IS NULL) AS held_back,"
        " count(*) FILTER (WHERE NOT ripe) AS pending"
        " FROM (SELECT {at} AS at, {at} < {upper} AS ripe, CASE WHEN {counts} THEN {bits} END AS f"
        " FROM {table} WHERE {within} OFFSET 0) AS r GROUP BY h ORDER BY h"
    ).format(
        step=sql.Literal(step),
        at=rows.event_time,
        upper=rows.moment(upper),
        counts=counts,
        bits=_bits(rows) if prints else sql.SQL("0::bigint"),
        table=rows.with_parent,
        within=rows.within(tenant, part.start, part.end),
    )


def keys(
    sessions: Sessions,
    rows: RowSql,
    unit: Unit,
    *,
    parts: Sequence[tuple[datetime, datetime]],
    upper: datetime,
) -> Iterator[KeyPrint]:
    """Keys and fingerprints of some half-open ranges, in the order of the key's bytes, streamed."""
    query = sql.SQL(
        "SELECT key, (f >> 32) & 4294967295, f & 4294967295 FROM"
        " (SELECT {key}::text AS key, {bits} AS f FROM {table}"
        " WHERE {within} AND ({parts}) AND {at} < {upper} AND {settled} OFFSET 0) AS r"
        ' ORDER BY key COLLATE "C"'
    ).format(
        key=rows.key,
        bits=_bits(rows),
        table=rows.with_parent,
        within=rows.within(unit.tenant, parts[0][0], parts[-1][1]),
        parts=_within(rows, parts),
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


def _within(rows: RowSql, parts: Sequence[tuple[datetime, datetime]]) -> sql.Composable:
    """True for a row of one of the ranges."""
    return sql.SQL(" OR ").join(
        sql.SQL("{at} >= {start} AND {at} < {end}").format(
            at=rows.event_time, start=rows.moment(start), end=rows.moment(end)
        )
        for start, end in parts
    )


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


def present(sessions: Sessions, rows: RowSql, wanted: Sequence[str]) -> tuple[int, frozenset[str]]:
    """Which of the keys the table has now, whoever's rows they are, settled or not.

    :returns: the server's time before it looked, in microseconds since 1970, and the keys.
    """
    query = sql.SQL(
        "SELECT k.key FROM unnest({keys}::text[]) AS k(key)"
        " WHERE EXISTS (SELECT FROM {table} WHERE {key} = k.key::{type})"
    ).format(
        keys=sql.Literal(rows.possible_keys(wanted)),
        table=rows.table,
        key=rows.key,
        type=sql.SQL(rows.key_type),
    )

    def look(connection: PgConnection) -> tuple[int, frozenset[str]]:
        with connection.cursor() as cursor:
            cursor.execute(NOW)
            found = cursor.fetchone()
            cursor.execute(query)
            return found[0] if found else 0, frozenset(key for (key,) in cursor)

    return sessions.run(look)


def _fetch(connection: PgConnection, query: sql.Composable) -> list[tuple]:  # type: ignore[type-arg]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
