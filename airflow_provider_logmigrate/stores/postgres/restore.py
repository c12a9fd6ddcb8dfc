"""Inserts purged rows again, from documents that hold every column as the database wrote it.

COPY reads each value by its column's type, and costs the server little more than half of an INSERT
of the same documents as JSON: it takes nothing apart, adds rows many at a time, and looks for no
conflict row by row. So rows that are there already are left out before.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import psycopg2
from psycopg2 import errors as pg
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.ahead import ahead
from airflow_provider_logmigrate.core.errors import RestoreFailed
from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.purge_ports import Removal
from airflow_provider_logmigrate.core.purge_scope import Scope
from airflow_provider_logmigrate.core.restore import Documents
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.copy_lines import CopyLines
from airflow_provider_logmigrate.stores.postgres.dependents_sql import SUMS, among
from airflow_provider_logmigrate.stores.postgres.purge import TRANSACTION
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col
from airflow_provider_logmigrate.stores.postgres.session import Sessions

KEPT_PAGE = 1_000
"""Rows that no document holds, inserted by one statement."""

SENT_AT_ONCE = 256 << 10
"""Bytes handed to the driver by one call."""


class PostgresRestore:
    """Implements :class:`~core.restore.RestoreSource`.

    :param rows: SQL of the copied streams, by name.
    """

    def __init__(self, sessions: Sessions, rows: Mapping[str, RowSql], tables: Tables) -> None:
        self._sessions, self._rows, self._tables = sessions, rows, tables

    def restore(self, scope: Scope, removal: Removal, *, documents: Documents) -> int:
        """See the port."""
        with self._sessions.open(TRANSACTION) as connection:
            connection.autocommit = False
            try:
                try:
                    inserted = self._insert_all(connection, scope, removal, documents)
                except pg.UniqueViolation:
                    # Somebody put rows back since this looked, another restore for one: look again.
                    connection.rollback()
                    inserted = self._insert_all(connection, scope, removal, documents)
                connection.commit()
            except (psycopg2.IntegrityError, psycopg2.DataError) as error:
                raise RestoreFailed(
                    f"the source refuses a row: {error.diag.message_primary}",
                    where=removal.unit,
                ) from error
            except msgspec.DecodeError as error:
                raise RestoreFailed(
                    f"a document can't be read: {error}", where=removal.unit
                ) from error
        return inserted

    def _insert_all(
        self, connection: PgConnection, scope: Scope, removal: Removal, documents: Documents
    ) -> int:
        streams = {scope.stream.table: scope.stream.name}
        streams |= {part.table: part.stream for part in scope.parts if part.stream}
        keys_of = {scope.stream.table: scope.stream.key}
        keys_of |= {part.table: part.dependent.key for part in scope.parts}
        inserted = 0
        with connection.cursor() as cursor:
            for table in scope.tables:  # parents first, for those that have foreign keys
                keys = removal.keys.get(table, ())
                if not keys:
                    continue
                generated = _generated(cursor, connection, table)
                if table in streams:
                    rows = self._rows[streams[table]]
                    pages = documents(table, _lacking(cursor, rows, keys))
                    inserted += _copy(cursor, rows, pages, generated)
                    self._prove(cursor, rows, keys, removal.sums[table])
                else:
                    kept = removal.kept[table]
                    inserted += self._put_back(cursor, table, kept, generated)
                    self._same(cursor, table, keys_of[table], keys, kept)
        return inserted

    def _prove(self, cursor: Any, rows: RowSql, keys: Sequence[str], left: Bucket) -> None:
        query = sql.SQL(
            "SELECT count(*), {sums} FROM (SELECT {print} AS f FROM {table} WHERE {keys} OFFSET 0)"
            " AS r"
        ).format(
            sums=SUMS,
            print=rows.fingerprint,
            table=rows.table,
            keys=among(rows.key, keys, sql.SQL(rows.key_type)),
        )
        cursor.execute(query)
        count, high, low = cursor.fetchone()
        if Bucket(count, int(high or 0), int(low or 0)) != left:
            raise RestoreFailed(
                f"{left.count:,} rows of {rows.stream.table} left, and what would be there now"
                " isn't the same",
                where=rows.stream.table,
                next_step="other rows have taken these keys, or documents were changed: compare"
                " them by key before anything else",
            )

    def _put_back(
        self, cursor: Any, table: str, kept: Sequence[str], generated: frozenset[str]
    ) -> int:
        names = [name for name, _ in self._tables.facts[table].columns if name not in generated]
        columns = sql.SQL(", ").join(sql.Identifier(name) for name in names)
        insert = sql.SQL(
            "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns}"
            " FROM json_populate_recordset(NULL::{table}, %s::json) ON CONFLICT DO NOTHING"
        ).format(table=identifier(table), columns=columns)
        inserted = 0
        for at in range(0, len(kept), KEPT_PAGE):
            cursor.execute(insert, (f"[{','.join(kept[at : at + KEPT_PAGE])}]",))
            inserted += cursor.rowcount
        return inserted

    def _same(
        self, cursor: Any, table: str, key: str, keys: Sequence[str], kept: Sequence[str]
    ) -> None:
        query = sql.SQL("SELECT row_to_json(w)::text FROM {} AS w WHERE {}").format(
            identifier(table), among(col(key), keys, self._tables.cast(table, key))
        )
        cursor.execute(query)
        if sorted(text for (text,) in cursor) != sorted(kept):
            raise RestoreFailed(f"rows of {table} aren't those that left", where=table)


def _lacking(cursor: Any, rows: RowSql, keys: Sequence[str]) -> list[str]:
    """Those of the keys that the table has no row of."""
    query = sql.SQL("SELECT {key}::text FROM {table} WHERE {these}").format(
        key=rows.key, table=rows.table, these=among(rows.key, keys, sql.SQL(rows.key_type))
    )
    cursor.execute(query)
    there = {key for (key,) in cursor}
    return [key for key in keys if key not in there]


def _copy(
    cursor: Any, rows: RowSql, pages: Iterator[Sequence[bytes]], generated: frozenset[str]
) -> int:
    """Insert documents as rows; how many."""
    names = [column.name for column in rows.shape.columns if column.name not in generated]
    command = sql.SQL("COPY {table} ({columns}) FROM STDIN").format(
        table=identifier(rows.stream.table),
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
    )
    lines = CopyLines(names)
    inserted = 0
    # The next page is fetched while the server takes in this one.
    with ahead(((len(page), lines(page)) for page in pages), name="restore-fetch") as made:
        for documents, text in made:
            cursor.copy_expert(command, io.BytesIO(text), size=SENT_AT_ONCE)
            if cursor.rowcount != documents:
                raise RestoreFailed(
                    f"{documents:,} documents came out as {cursor.rowcount:,} rows",
                    where=rows.stream.table,
                )
            inserted += documents
    return inserted


def _generated(cursor: Any, connection: PgConnection, table: str) -> frozenset[str]:
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attgenerated <> ''",
        (identifier(table).as_string(connection),),
    )
    return frozenset(name for (name,) in cursor)
