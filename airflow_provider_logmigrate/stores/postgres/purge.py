"""Deletes proven rows from PostgreSQL in small transactions; never more than was proven."""

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
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_ports import (
    Fate,
    Group,
    GroupWindow,
    Print,
    Removal,
    RowsChanged,
)
from airflow_provider_logmigrate.core.purge_scope import Part, Scope
from airflow_provider_logmigrate.core.unit import UTC, Period, Unit
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.dependents import Lister
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

_HALF = "coalesce(sum(('x' || substr(f, {}, 8))::bit(32)::bigint), 0)"


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
        proven: Mapping[str, Bucket],
        before_commit: Callable[[Removal], None],
    ) -> Removal:
        """See the port. The order: lock the units' rows, delete what hangs on them, then them."""
        keys: dict[str, list[str]] = {}
        for group in groups:
            for member in group.members:
                keys.setdefault(member.table, []).append(member.key)
        with self._transaction() as cursor:
            self._lock(cursor, scope, keys[scope.stream.table])
            sums: dict[str, Bucket] = {}
            hours: dict[str, dict[datetime, Bucket]] = {}
            kept: dict[str, list[str]] = {}
            for part in reversed(scope.parts):
                wanted = keys.get(part.table, [])
                condition = self._condition(scope, part, keys)
                if part.stream is None:
                    rows = self._take(cursor, part, condition) if condition else []
                    _same(part.table, len(rows), len(wanted))
                    if rows:
                        kept[part.table] = rows
                elif condition:
                    found = self._delete(cursor, self._rows[part.stream], condition)
                    sums[part.table] = self._add(hours, plan.unit.tenant, part.stream, found)
            root = self._rows[scope.stream.name]
            found = self._delete(cursor, root, root.key_in(keys[scope.stream.table]))
            sums[scope.stream.table] = self._add(hours, plan.unit.tenant, scope.stream.name, found)
            for table in {*sums, *proven}:
                if (have := sums.get(table, EMPTY)) != (want := proven.get(table, EMPTY)):
                    raise RowsChanged(f"{table} has {have.count} rows, {want.count} were proven")
            cursor.execute("SELECT txid_current()")
            removal = Removal(
                unit=plan.key,
                transaction=int(cursor.fetchone()[0]),
                keys=keys,
                sums=sums,
                hours=hours,
                kept=kept,
                objects=[item for group in groups for item in group.objects],
            )
            before_commit(removal)
        return removal

    def prints(self, stream: str, tenant: str, keys: Sequence[str]) -> Mapping[str, Print]:
        """See the port."""
        rows = self._rows[stream]
        query = sql.SQL(
            "SELECT k, ('x' || substr(f, 1, 8))::bit(32)::bigint,"
            " ('x' || substr(f, 9, 8))::bit(32)::bigint FROM"
            " (SELECT {key}::text AS k, {print} AS f FROM {table} WHERE {tenant} AND {keys}) AS r"
        ).format(
            key=rows.key,
            print=rows.fingerprint,
            table=rows.table,
            tenant=rows.tenant(tenant),
            keys=rows.key_in(keys),
        )
        return {key: (high, low) for key, high, low in self._fetch(query)}

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
                "SELECT count(*) FROM unnest({keys}::{kind}[]) AS p(v) JOIN {table} AS w"
                " ON {column} = p.v"
            ).format(
                keys=sql.Literal(list(roots)),
                kind=self._tables.cast(this.table, this.column),
                table=identifier(this.table),
                column=col(this.column),
            )
            ((count,),) = self._fetch(query)
            if count:
                found[this.table] = count
        return found

    def _lister(self, scope: Scope) -> Lister:
        return Lister(scope, self._rows, self._tables, period_of=self._period_of)

    def _lock(self, cursor: Any, scope: Scope, wanted: Sequence[str]) -> None:
        """Nobody changes these rows any more; they are still settled and still on their own."""
        root = self._rows[scope.stream.name]
        query = sql.SQL("SELECT 1 FROM {} WHERE {} AND {} ORDER BY {} FOR UPDATE OF w").format(
            root.table, root.key_in(wanted), self._lister(scope).free(), root.key
        )
        cursor.execute(query)
        _same(scope.stream.table, cursor.rowcount, len(wanted))

    def _condition(
        self, scope: Scope, part: Part, keys: Mapping[str, Sequence[str]]
    ) -> sql.Composable | None:
        """Which rows of a dependent table go; ``None``: none.

        By what they belong to where an index serves: a row that appeared meanwhile is then met,
        and the sums differ. Else by key.
        """
        this = part.dependent
        by_parent = self._tables.by_parent(scope, part)
        column = this.column if by_parent else this.key
        values = keys.get(this.of if by_parent else this.table, ())
        if not values:
            return None
        return sql.SQL("{} = ANY({}::{}[])").format(
            col(column), sql.Literal(list(values)), self._tables.cast(this.table, column)
        )

    def _delete(
        self, cursor: Any, rows: RowSql, condition: sql.Composable
    ) -> list[tuple[datetime, Bucket]]:
        """Delete rows; what they added up to, by hour."""
        query = sql.SQL(
            "WITH gone AS (DELETE FROM {table} WHERE {condition}"
            " RETURNING {at} AS at, {print} AS f)"
            " SELECT date_trunc('hour', at), count(*), {high}, {low} FROM gone GROUP BY 1"
        ).format(
            table=rows.table,
            condition=condition,
            at=rows.event_time,
            print=rows.fingerprint,
            high=sql.SQL(_HALF.format(1)),
            low=sql.SQL(_HALF.format(9)),
        )
        cursor.execute(query)
        return [
            (hour.replace(tzinfo=UTC), Bucket(count, int(high), int(low)))
            for hour, count, high, low in cursor
        ]

    def _take(self, cursor: Any, part: Part, condition: sql.Composable) -> list[str]:
        """Delete rows that no document holds; they come back as JSON, whole."""
        query = sql.SQL("DELETE FROM {} AS w WHERE {} RETURNING row_to_json(w)::text").format(
            identifier(part.table), condition
        )
        cursor.execute(query)
        return [text for (text,) in cursor]

    def _add(
        self,
        hours: dict[str, dict[datetime, Bucket]],
        tenant: str,
        stream: str,
        found: Sequence[tuple[datetime, Bucket]],
    ) -> Bucket:
        total = EMPTY
        for hour, bucket in found:
            total = total + bucket
            key = Unit(stream, tenant, self._period_of(hour)).key
            mine = hours.setdefault(key, {})
            mine[hour] = mine.get(hour, EMPTY) + bucket
        return total

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


def _same(table: str, have: int, want: int) -> None:
    if have != want:
        raise RowsChanged(f"{table} has {have} of {want} rows")
