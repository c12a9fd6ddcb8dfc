"""Statements that list rows and what hangs on them."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_scope import Part, Scope
from airflow_provider_logmigrate.core.stream import Dependent, SettledWithParent
from airflow_provider_logmigrate.stores.postgres import placing, settled_sql
from airflow_provider_logmigrate.stores.postgres.arrays import array
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col

_HALF = "('x' || substr(f, {}, 8))::bit(32)::bigint"
_HALVES = sql.SQL(f"{_HALF.format(1)}, {_HALF.format(9)}")
SUMS = sql.SQL(f"sum({_HALF.format(1)}), sum({_HALF.format(9)})")
"""Of both halves of the fingerprints ``f``."""


def among(column: sql.Composable, values: Sequence[str], kind: sql.Composable) -> sql.Composable:
    """True for rows with one of the values."""
    return sql.SQL("{} = ANY({})").format(column, array(values, kind))


def free(scope: Scope, root: RowSql) -> sql.Composable:
    """True for settled rows that belong to no other row: those that go by themselves."""
    rule = root.stream.settled
    alone = isinstance(rule, SettledWithParent) and any(
        (owner.column, owner.of, owner.of_column)
        == (rule.foreign_key, rule.parent_table, rule.parent_key)
        for owner in scope.owners
    )
    settled = settled_sql.settled_without_parent(rule) if alone else root.settled
    return sql.SQL(" AND ").join([settled, *(_ownerless(owner) for owner in scope.owners)])


def _ownerless(owner: Dependent) -> sql.Composable:
    return sql.SQL("NOT EXISTS (SELECT 1 FROM {of} AS o WHERE {theirs} = {ours})").format(
        of=identifier(owner.of),
        theirs=sql.Identifier("o", owner.of_column),
        ours=col(owner.column),
    )


def any_row(table: str) -> sql.Composable:
    """One row, unless the table is empty."""
    return sql.SQL("SELECT 1 FROM {} LIMIT 1").format(identifier(table))


def next_roots(
    scope: Scope,
    root: RowSql,
    plan: UnitPlan,
    names: Sequence[str],
    *,
    after: Cursor | None,
    limit: int,
) -> sql.Composable:
    """A unit's next rows that go by themselves: key, event time, and the columns of ``names``."""
    unit = plan.unit
    return sql.SQL(
        "SELECT {key}::text, {at}::timestamptz::text{names} FROM {table} WHERE {within}"
        " AND {free}{behind} ORDER BY {order} LIMIT {limit}"
    ).format(
        key=root.key,
        at=root.event_time,
        names=_texts(names),
        table=root.table,
        within=root.within(unit.tenant, unit.period.start, unit.period.end),
        free=free(scope, root),
        behind=sql.SQL(" AND {}").format(root.after(after.event_time, after.key))
        if after
        else sql.SQL(""),
        order=root.order,
        limit=sql.Literal(limit),
    )


def roots(scope: Scope, root: RowSql, keys: Sequence[str], names: Sequence[str]) -> sql.Composable:
    """Those of the keys' rows that still go by themselves: key, hour, fingerprint, ``names``."""
    return sql.SQL(
        "SELECT k, h, {halves}{outer} FROM (SELECT {key}::text AS k, {hour} AS h, {print} AS f"
        "{inner} FROM {table} WHERE {these} AND {free} OFFSET 0) AS r"
    ).format(
        halves=_HALVES,
        outer=sql.SQL("".join(f", c{number}" for number in range(len(names)))),
        key=root.key,
        hour=placing.hour(root),
        print=root.fingerprint,
        inner=_texts(names),
        table=root.table,
        these=among(root.key, keys, sql.SQL(root.key_type)),
        free=free(scope, root),
    )


def children(
    part: Part,
    tables: Tables,
    names: Sequence[str],
    *,
    owners: Sequence[str],
    keys: Sequence[str] = (),
    named: bool,
    rows: RowSql | None,
) -> sql.Composable:
    """Rows of a table by what they hang on: that, hour, count, keys, fingerprint sums, ``names``.

    :param owners: what they hang on.
    :param keys: look for these rows instead.
    :param named: with keys.
    :param rows: for hours and fingerprints.
    """
    this = part.dependent
    column = this.key if keys else this.column
    return sql.SQL(
        "SELECT o, h, count(*), {named}, {sums}{outer} FROM (SELECT {of}::text AS o, {hour} AS h,"
        " {key} AS k, {print} AS f{inner}"
        " FROM {table} AS w WHERE {these} OFFSET 0) AS r"
        " GROUP BY o, h"
    ).format(
        named=sql.SQL("array_agg(k)" if named else "NULL"),
        sums=SUMS if rows else sql.SQL("NULL, NULL"),
        outer=sql.SQL("".join(f", array_agg(c{number})" for number in range(len(names)))),
        of=col(this.column),
        hour=placing.hour(rows) if rows else sql.SQL("NULL::timestamptz"),
        key=sql.SQL("{}::text").format(col(this.key)) if named else sql.SQL("NULL"),
        print=rows.fingerprint if rows else sql.SQL("NULL"),
        inner=_texts(names),
        table=identifier(this.table),
        these=among(col(column), keys or owners, tables.cast(this.table, column)),
    )


def _texts(names: Sequence[str]) -> sql.Composable:
    """The columns as texts ``c0``, ``c1`` and so on."""
    return sql.SQL("").join(
        sql.SQL(", {}::text AS {}").format(col(name), sql.Identifier(f"c{number}"))
        for number, name in enumerate(names)
    )
