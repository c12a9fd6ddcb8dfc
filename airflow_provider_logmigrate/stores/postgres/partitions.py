"""Whole partitions that a purge empties: dropped at once, which gives their space back.

Rows leave in small proven transactions as everywhere, so no lock is held while rows are read. What
is left to do is short: under lock the partition is looked at once more, and goes only if it is
empty and still the one that was planned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from psycopg2 import errors as pg
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge import Partition
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from airflow_provider_logmigrate.stores.postgres.session import Sessions

BOUNDS = {"lock_timeout": "1s", "statement_timeout": "10s"}
"""Rather leave an empty partition than let others wait for it."""

_CHILDREN = """
SELECT n.nspname || '.' || c.relname, pg_get_expr(c.relpartbound, c.oid)
FROM pg_inherits AS i
JOIN pg_partitioned_table AS p ON p.partrelid = i.inhparent
JOIN pg_attribute AS a ON a.attrelid = i.inhparent AND a.attnum = p.partattrs[0]
JOIN pg_class AS c ON c.oid = i.inhrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.inhparent = to_regclass(%s) AND p.partstrat = 'r' AND p.partnatts = 1 AND a.attname = %s
    AND c.relkind = 'r' AND NOT i.inhdetachpending AND pg_has_role(c.relowner, 'USAGE')
    AND pg_has_role((SELECT relowner FROM pg_class WHERE oid = i.inhparent), 'USAGE')
ORDER BY 1
"""
_BOUND = re.compile(r"FOR VALUES FROM \('([^']+)'\) TO \('([^']+)'\)")


def covered(connection: PgConnection, rows: RowSql, plan: UnitPlan) -> Iterator[Partition]:
    """Partitions of a unit's table that lie within its period and hold no other tenant's row."""
    parent = identifier(rows.stream.table).as_string(connection)
    period = plan.unit.period
    for name, bound in _fetch(connection, _CHILDREN, (parent, rows.stream.event_time)):
        found = _BOUND.fullmatch(bound)
        if found is None:
            continue
        first, end = (rows.moment(text) for text in found.groups())
        query = sql.SQL(
            "SELECT {first} >= {start} AND {end} <= {over}"
            " AND EXISTS (SELECT 1 FROM {table})"
            " AND NOT EXISTS (SELECT 1 FROM {table} AS w WHERE ({tenant}) IS NOT TRUE)"
        ).format(
            first=first,
            end=end,
            start=rows.moment(period.start),
            over=rows.moment(period.end),
            table=identifier(name),
            tenant=rows.tenant(plan.unit.tenant),
        )
        ((whole,),) = _fetch(connection, query)
        if whole:
            yield Partition(name, rows.stream.table, bound)


def drop_empty(sessions: Sessions, partitions: Sequence[Partition]) -> list[Partition]:
    """Detach and drop those that are empty and as they were planned; which these were.

    One that is in use for longer than a second stays: nothing is lost by an empty partition.
    """
    dropped = []
    for partition in partitions:
        with sessions.open(BOUNDS) as connection:
            connection.autocommit = False
            try:
                if _drop(connection, partition):
                    connection.commit()
                    dropped.append(partition)
            except (pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected):
                connection.rollback()
    return dropped


def _drop(connection: PgConnection, partition: Partition) -> bool:
    parent, child = identifier(partition.parent), identifier(partition.table)
    occupied = sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(child)
    if not _is_there(connection, partition) or _fetch(connection, occupied) != [(False,)]:
        return False
    with connection.cursor() as cursor:
        # In the order in which others take them, so that nobody waits for us in a circle.
        cursor.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(parent))
        cursor.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(child))
    if not _is_there(connection, partition) or _fetch(connection, occupied) != [(False,)]:
        return False
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, child))
        cursor.execute(sql.SQL("DROP TABLE {}").format(child))
    return True


def bring_back(sessions: Sessions, partitions: Sequence[Partition]) -> list[Partition]:
    """Make dropped partitions again, empty, with the indexes of their table; which these were.

    Idempotent. Where another partition takes their rows by now, that one stays.
    """
    made = []
    for partition in partitions:
        with sessions.open(BOUNDS) as connection:
            if _is_there(connection, partition):
                continue
            query = sql.SQL("CREATE TABLE {} PARTITION OF {} {}").format(
                identifier(partition.table),
                identifier(partition.parent),
                sql.SQL(_checked(partition.bound)),
            )
            try:
                with connection.cursor() as cursor:
                    cursor.execute(query)
            except pg.InvalidObjectDefinition:  # it would overlap
                continue
            made.append(partition)
    return made


def _is_there(connection: PgConnection, partition: Partition) -> bool:
    query = (
        "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i"
        " JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass(%s) AND i.inhrelid = to_regclass(%s)"
    )
    names = [identifier(n).as_string(connection) for n in (partition.parent, partition.table)]
    return _fetch(connection, query, names) == [(partition.bound,)]


def _checked(bound: str) -> str:
    """A bound as PostgreSQL printed it; it becomes part of a statement, so nothing else may be."""
    if _BOUND.fullmatch(bound) is None:
        raise ValueError(f"{bound!r} isn't the bound of a partition")
    return bound


def _fetch(connection: PgConnection, query: Any, parameters: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()
