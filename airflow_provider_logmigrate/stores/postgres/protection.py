"""How a PostgreSQL source feels: one reading by a short connection of its own.

Three figures, each only if a threshold asks for it:

* the time of a query that fetches one random block of a table that is copied. It is one read of
  8 KiB whatever the table's size and indexes, and it feels a busy disk as well as a busy CPU,
  unlike ``SELECT 1`` or the look-up of a row that was just read;
* how far the slowest replica is behind, from ``pg_stat_replication``; on a source that is a
  replica itself also its own delay;
* sessions that run a statement, from ``pg_stat_activity``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from psycopg2 import errors as pg
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.protection import Reading, Thresholds
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.session import Sessions

STATEMENT_SECONDS = 5.0
"""Bound of each of the probe's statements; one that reaches it is a reading, not a failure."""

_BLOCKS = """
SELECT c.relkind IN ('r', 'm'),
       pg_relation_size(c.oid) / current_setting('block_size')::bigint
FROM pg_class AS c WHERE c.oid = to_regclass(%s)
"""

_LAG = """
SELECT count(*) FILTER (WHERE state IS NULL),
       max(extract(epoch FROM replay_lag))::float8,
       max(pg_wal_lsn_diff(
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                ELSE pg_current_wal_lsn() END, replay_lsn))::bigint
FROM pg_stat_replication
"""
"""Without the privilege the rows are there, but all that they say is NULL."""

_OWN_LAG = """
SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END::float8,
       pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint
WHERE pg_is_in_recovery()
"""
"""A replica that has replayed all it got isn't late, however old its last transaction is."""

_ACTIVE = """
SELECT count(*) FILTER (WHERE backend_type IS NULL AND usesysid IS NOT NULL),
       count(*) FILTER (WHERE backend_type = 'client backend'
                        AND state IN ('active', 'fastpath function call'))
FROM pg_stat_activity
WHERE coalesce(application_name, '') NOT LIKE 'logmigrate%' AND pid <> pg_backend_pid()
"""
"""Sessions of other users show neither state nor type to a login without the privilege."""

_NOT_READABLE = (
    pg.InsufficientPrivilege,
    # Managed services leave views and functions out, each in its own way.
    pg.UndefinedTable,
    pg.UndefinedFunction,
    pg.FeatureNotSupported,
)


class SourceProbe:
    """Takes readings of one source.

    :param tables: what is copied, as ``schema.table`` or ``table``.
    :param rng: which table, and which block of it.
    :param monotonic: seconds, for the probe's time.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        tables: Sequence[str],
        thresholds: Thresholds,
        rng: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions, self._tables, self._thresholds = sessions, tuple(tables), thresholds
        self._rng, self._monotonic = rng, monotonic

    def __call__(self) -> Reading:
        """One reading. :raises SourceUnavailable: the source doesn't answer."""
        wanted = self._thresholds
        longest = max(STATEMENT_SECONDS, 3 * (wanted.probe_seconds or 0.0))
        settings = {"statement_timeout": str(int(longest * 1000))}
        unreadable: list[str] = []
        probe = lag = size = active = None
        with self._sessions.open(settings) as connection:
            if wanted.probe_seconds is not None:
                probe = self._probe(connection)
            if wanted.wants_lag:
                lag, size = _lag(connection, unreadable)
            if wanted.active_backends is not None:
                active = _active(connection, unreadable)
        return Reading(probe, lag, size, active, tuple(unreadable))

    def _probe(self, connection: PgConnection) -> float:
        table = identifier(self._rng.choice(self._tables))
        with connection.cursor() as cursor:
            began = self._monotonic()
            try:
                cursor.execute(_BLOCKS, (table.as_string(connection),))
                found = cursor.fetchone()
                plain, blocks = found or (False, 0)
                query: sql.Composable = sql.SQL("SELECT 1")
                if plain and blocks:
                    block = self._rng.randrange(int(blocks))
                    query = sql.SQL("SELECT 1 FROM {} WHERE ctid = {}::tid").format(
                        table, sql.Literal(f"({block},1)")
                    )
                began = self._monotonic()  # the first statement of a session also fills caches
                cursor.execute(query)
            except pg.QueryCanceled:
                pass
            return self._monotonic() - began


def _lag(connection: PgConnection, unreadable: list[str]) -> tuple[float | None, int | None]:
    found = _row(connection, _LAG, unreadable, "pg_stat_replication")
    hidden, seconds, size = found or (0, None, None)
    if hidden:
        unreadable.append(
            "replication lag can't be read: grant the role pg_monitor to the source's user"
        )
    own = _row(connection, _OWN_LAG, unreadable, "the replica's own lag")
    if own is not None:
        seconds = max((s for s in (seconds, own[0]) if s is not None), default=None)
        size = max((s for s in (size, own[1]) if s is not None), default=None)
    return seconds, size


def _active(connection: PgConnection, unreadable: list[str]) -> int | None:
    hidden, active = _row(connection, _ACTIVE, unreadable, "pg_stat_activity") or (0, None)
    if hidden:
        unreadable.append(
            f"{hidden} sessions of other users can't be read, and aren't counted as active:"
            " grant the role pg_monitor to the source's user"
        )
    return None if active is None else int(active)


def _row(
    connection: PgConnection, query: str, unreadable: list[str], what: str
) -> tuple[Any, ...] | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row
    except _NOT_READABLE as error:
        reason = (error.diag.message_primary or str(error)).strip()
        unreadable.append(f"{what} can't be read: {reason}")
    return None
