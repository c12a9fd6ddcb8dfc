"""Deletes proven rows from PostgreSQL in small transactions; never other rows than were proven.

A row is named by its key and the mark of the version whose fingerprint was proven. Who writes a row
makes another version: then the delete meets that one, sees another mark, and is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_ports import (
    Fate,
    Group,
    GroupWindow,
    Removal,
)
from airflow_provider_logmigrate.core.purge_scope import Part, Scope
from airflow_provider_logmigrate.core.unit import Period
from airflow_provider_logmigrate.stores.postgres.arrays import array
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.dependents import VERSION, Lister
from airflow_provider_logmigrate.stores.postgres.listing import Listing
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col
from airflow_provider_logmigrate.stores.postgres.session import Sessions

if TYPE_CHECKING:
    from typing_extensions import Self

TRANSACTION = {
    # Rather give way than queue: whoever waits behind a waiting lock waits as well.
    "lock_timeout": "1s",
    "statement_timeout": "60s",
    # A frozen attempt must not hold its rows against the application.
    "idle_in_transaction_session_timeout": "60s",
}
"""Bounds of a transaction that deletes."""


class PostgresPurge:
    """Implements :class:`~core.purge_ports.PurgeSource`; one thread, one connection, kept open.

    :param rows: SQL of the copied streams, by name.
    :param period_of: the period of an event time.
    """

    def __init__(
        self,
        sessions: Sessions,
        rows: Mapping[str, RowSql],
        tables: Tables,
        *,
        period_of: Callable[[datetime], Period],
    ) -> None:
        self._sessions, self._rows, self._tables = sessions, rows, tables
        self._period_of = period_of
        self._held = ExitStack()
        self._connection: PgConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        self._connection = None
        self._held.close()

    def groups(
        self, scope: Scope, plan: UnitPlan, *, after: Cursor | None, limit: int
    ) -> GroupWindow:
        """See the port: one statement per table of the scope."""
        lister = self._lister(scope)
        return self._sessions.run(lambda c: lister.window(c, plan, after=after, limit=limit))

    def delete(
        self,
        scope: Scope,
        plan: UnitPlan,
        groups: Sequence[Group],
        *,
        before_commit: Callable[[Removal], None],
    ) -> Removal:
        """See the port. What hangs on a row goes before it."""
        batch = Listing(groups)
        kept: dict[str, list[str]] = {}
        with self._transaction() as cursor:
            for part in reversed(scope.parts):
                condition = self._condition(scope, part, batch)
                if condition is None:
                    continue
                this, whole = part.dependent, part.stream is None
                rows = _delete(
                    *(cursor, batch, part.table, col(this.column), col(this.key)),
                    condition=condition,
                    whole=whole,
                )
                if whole and rows:
                    kept[part.table] = rows
            root = self._rows[scope.stream.name]
            # Still settled and still on its own: what it settles with may have changed.
            condition = sql.SQL("{} AND {}").format(
                _among(root.key, batch.keys[scope.stream.table], sql.SQL(root.key_type)),
                self._lister(scope).free(),
            )
            _delete(cursor, batch, scope.stream.table, root.key, root.key, condition=condition)
            cursor.execute("SELECT txid_current()")
            removal = Removal(
                unit=plan.key,
                transaction=int(cursor.fetchone()[0]),
                keys=batch.keys,
                sums=batch.sums,
                hours=batch.hours,
                kept=kept,
                objects=[item for group in groups for item in group.objects],
            )
            before_commit(removal)
        return removal

    def fate(self, scope: Scope, removal: Removal) -> Fate:
        """See the port: the server remembers how a transaction ended for a very long time.

        Where it doesn't, or remembers another one (a source restored from a backup), the rows
        tell: a batch is all or nothing.

        :raises SourceUnavailable: nobody can tell.
        """
        query = sql.SQL("SELECT CASE WHEN {0} < txid_current() THEN txid_status({0}) END").format(
            sql.Literal(removal.transaction)
        )
        ((status,),) = self._fetch(query)
        if status == "in progress":
            return Fate.RUNNING
        rows = self._rows[scope.stream.name]
        wanted = removal.keys[scope.stream.table]
        there = len(
            self._fetch(
                sql.SQL("SELECT 1 FROM {} WHERE {}").format(rows.table, rows.key_in(wanted))
            )
        )
        if there == len(wanted) or status == "aborted":
            return Fate.ABORTED
        if status is None and there:
            raise SourceUnavailable(
                f"{there} of {len(wanted)} rows of an interrupted batch are there, and the source"
                " doesn't know its transaction",
                where=removal.unit,
                next_step="was the source restored from a backup? see docs/runbook.md",
            )
        return Fate.COMMITTED

    def left_behind(self, scope: Scope, roots: Sequence[str]) -> Mapping[str, int]:
        """See the port. Tables whose rows are deleted by what they belong to can't have any."""
        found: dict[str, int] = {}
        for part in scope.parts:
            this = part.dependent
            if (
                this.of != scope.stream.table
                or this.of_column != scope.stream.key
                or self._tables.by_parent(scope, part)
            ):
                continue
            query = sql.SQL(
                "SELECT count(*) FROM unnest({keys}) AS p(v) JOIN {table} AS w ON {column} = p.v"
            ).format(
                keys=array(roots, self._tables.cast(this.table, this.column)),
                table=identifier(this.table),
                column=col(this.column),
            )
            ((count,),) = self._fetch(query)
            if count:
                found[this.table] = count
        return found

    def _lister(self, scope: Scope) -> Lister:
        return Lister(scope, self._rows, self._tables, period_of=self._period_of)

    def _condition(self, scope: Scope, part: Part, batch: Listing) -> sql.Composable | None:
        """Which rows of a dependent table go; ``None``: none.

        By what they belong to where an index serves: a row that appeared meanwhile is then met,
        and undoes the batch. Else by key.
        """
        this = part.dependent
        by_parent = self._tables.by_parent(scope, part)
        column = this.column if by_parent else this.key
        values = batch.keys.get(this.of if by_parent else this.table, ())
        if not values:
            return None
        return _among(col(column), values, self._tables.cast(this.table, column))

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """A transaction that ends in a commit, or in nothing having happened."""
        connection = self._connection
        if connection is None or connection.closed:
            self.close()
            connection = self._held.enter_context(self._sessions.open(TRANSACTION))
            connection.autocommit = False
            self._connection = connection
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except psycopg2.Error as error:
            self._undo(connection)
            raise self._sessions.explain(error) from error
        except BaseException:
            self._undo(connection)
            raise

    def _undo(self, connection: PgConnection) -> None:
        try:
            connection.rollback()
        except psycopg2.Error:
            self.close()  # the server undoes what a lost connection leaves

    def _fetch(self, query: sql.Composable) -> list[Any]:
        def work(connection: PgConnection) -> list[Any]:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall()

        return self._sessions.run(work)


def _among(column: sql.Composable, values: Sequence[str], kind: sql.Composable) -> sql.Composable:
    return sql.SQL("{} = ANY({})").format(column, array(values, kind))


def _delete(
    cursor: Any,
    batch: Listing,
    table: str,
    of: sql.Composable,
    key: sql.Composable,
    *,
    condition: sql.Composable,
    whole: bool = False,
) -> list[str]:
    """Delete rows that are found by ``of``, if they are those of the batch.

    :param whole: return the rows as JSON: no document holds them.
    :raises RowsChanged: they aren't.
    """
    query = sql.SQL(
        "WITH gone AS (DELETE FROM {table} AS w WHERE {condition}"
        " RETURNING {of}::text AS o, {key}::text AS k, {version} AS v, {whole} AS j)"
        " SELECT o, array_agg(k), array_agg(v), array_agg(j) FROM gone GROUP BY o"
    ).format(
        table=identifier(table),
        condition=condition,
        of=of,
        key=key,
        version=VERSION,
        whole=sql.SQL("row_to_json(w)::text") if whole else sql.SQL("NULL::text"),
    )
    cursor.execute(query)
    found: dict[str, dict[str, str]] = {}
    rows: list[str] = []
    for value, keys, versions, texts in cursor:
        found[value] = dict(zip(keys, versions, strict=True))
        if whole:
            rows += texts
    batch.compare(table, found)
    return rows
