"""Deletes rows from PostgreSQL in small transactions that prove them before they commit."""

from __future__ import annotations

import threading
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
    Rows,
)
from airflow_provider_logmigrate.core.purge_scope import Scope
from airflow_provider_logmigrate.core.unit import Period
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.dependents import Lister
from airflow_provider_logmigrate.stores.postgres.dependents_sql import among
from airflow_provider_logmigrate.stores.postgres.placing import Places
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.removal import Deletion
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
    # What a delete returns is added up in memory.
    "work_mem": "64MB",
}
"""Bounds of a transaction that deletes."""


LISTING = {"max_parallel_workers_per_gather": "0"}
"""Nobody waits for a list, so it takes one processor and leaves the others to those who do."""


class PostgresPurge:
    """Implements :class:`~core.purge_ports.PurgeSource`.

    Each thread's transaction has a connection of its own, which is kept open.

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
        self._places = Places(period_of)
        self._held = ExitStack()
        self._idle: list[PgConnection] = []
        self._lock = threading.Lock()

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
        """Close the connections; the next call opens another one."""
        self._idle.clear()
        self._held.close()

    def groups(
        self, scope: Scope, plan: UnitPlan, *, after: Cursor | None, limit: int
    ) -> GroupWindow:
        """See the port: one statement per table of the scope."""
        lister = self._lister(scope)
        with self._sessions.session(LISTING) as session:
            return session.run(lambda c: lister.window(c, plan, after=after, limit=limit))

    def look(self, scope: Scope, plan: UnitPlan, groups: Sequence[Group]) -> list[Group]:
        """See the port: one statement per table of the scope."""
        lister = self._lister(scope)
        with self._sessions.session(LISTING) as session:
            return session.run(lambda c: lister.look(c, plan, groups))

    def delete(
        self,
        scope: Scope,
        plan: UnitPlan,
        groups: Sequence[Group],
        *,
        before_commit: Callable[[Removal, Sequence[Rows]], None],
    ) -> Removal:
        """See the port."""
        deletion = Deletion(scope, plan, groups, self._rows, self._tables, self._places)
        with self._transaction() as cursor:
            deletion.carry_out(cursor)
            cursor.execute("SELECT txid_current()")
            removal = deletion.removal(int(cursor.fetchone()[0]))
            before_commit(removal, deletion.gone)
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
        """See the port."""
        found: dict[str, int] = {}
        for part in scope.parts:
            this = part.dependent
            if this.of != scope.stream.table or this.of_column != scope.stream.key:
                continue
            query = sql.SQL("SELECT count(*) FROM {table} AS w WHERE {theirs}").format(
                table=identifier(this.table),
                theirs=among(col(this.column), roots, self._tables.cast(this.table, this.column)),
            )
            ((count,),) = self._fetch(query)
            if count:
                found[this.table] = count
        return found

    def _lister(self, scope: Scope) -> Lister:
        return Lister(scope, self._rows, self._tables, self._places)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """A transaction that ends in a commit, or in nothing having happened."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._held.enter_context(self._sessions.open(TRANSACTION))
                connection.autocommit = False
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except psycopg2.Error as error:
            _undo(connection)
            raise self._sessions.explain(error) from error
        except BaseException:
            _undo(connection)
            raise
        finally:
            if not connection.closed:
                with self._lock:
                    self._idle.append(connection)

    def _fetch(self, query: sql.Composable) -> list[Any]:
        def work(connection: PgConnection) -> list[Any]:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall()

        return self._sessions.run(work)


def _undo(connection: PgConnection) -> None:
    try:
        connection.rollback()
    except psycopg2.Error:
        connection.close()  # the server undoes what a lost connection leaves
