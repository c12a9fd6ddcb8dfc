"""Inserts purged rows again, from documents that hold every column as the database wrote it.

The server itself takes the documents apart: JSON strings become the texts they were, numbers keep
their digits, and each text is cast to its column's type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.ahead import ahead
from airflow_provider_logmigrate.core.errors import RestoreFailed
from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.purge_ports import Removal
from airflow_provider_logmigrate.core.purge_scope import Scope
from airflow_provider_logmigrate.core.restore import Documents
from airflow_provider_logmigrate.core.stream import Column, ColumnKind
from airflow_provider_logmigrate.stores.postgres.arrays import array
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.purge import TRANSACTION
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, cast_type, col
from airflow_provider_logmigrate.stores.postgres.session import Sessions

KEPT_PAGE = 1_000
"""Rows that no document holds, inserted by one statement."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ADDED = b'_offloaded":'


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
                inserted = self._insert_all(connection, scope, removal, documents)
                connection.commit()
            except psycopg2.IntegrityError as error:
                raise RestoreFailed(
                    f"the source refuses a row: {error.diag.message_primary}",
                    where=removal.unit,
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
                    insert = _insert(rows, generated)
                    # The next page is fetched while the server takes this one apart.
                    with ahead(map(_array, documents(table, keys)), name="restore-fetch") as pages:
                        for page in pages:
                            cursor.execute(insert, (page,))
                            inserted += cursor.rowcount
                    self._prove(cursor, rows, keys, removal.sums[table])
                else:
                    kept = removal.kept[table]
                    inserted += self._put_back(cursor, table, kept, generated)
                    self._same(cursor, table, keys_of[table], keys, kept)
        return inserted

    def _prove(self, cursor: Any, rows: RowSql, keys: Sequence[str], left: Bucket) -> None:
        query = sql.SQL(
            "SELECT count(*), coalesce(sum(('x' || substr(f, 1, 8))::bit(32)::bigint), 0),"
            " coalesce(sum(('x' || substr(f, 9, 8))::bit(32)::bigint), 0)"
            " FROM (SELECT {print} AS f FROM {table} WHERE {keys} OFFSET 0) AS r"
        ).format(
            print=rows.fingerprint,
            table=rows.table,
            keys=sql.SQL("{} = ANY({})").format(rows.key, array(keys, sql.SQL(rows.key_type))),
        )
        cursor.execute(query)
        count, high, low = cursor.fetchone()
        if Bucket(count, int(high), int(low)) != left:
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
        query = sql.SQL("SELECT row_to_json(w)::text FROM {} AS w WHERE {} = ANY({})").format(
            identifier(table), col(key), array(keys, self._tables.cast(table, key))
        )
        cursor.execute(query)
        if sorted(text for (text,) in cursor) != sorted(kept):
            raise RestoreFailed(f"rows of {table} aren't those that left", where=table)


def _insert(rows: RowSql, generated: frozenset[str]) -> sql.Composable:
    columns = [column for column in rows.shape.columns if column.name not in generated]
    return sql.SQL(
        "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values}"
        " FROM json_to_recordset(%s::json) AS x({texts}) ON CONFLICT DO NOTHING"
    ).format(
        table=identifier(rows.stream.table),
        columns=sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
        values=sql.SQL(", ").join(_value(column) for column in columns),
        texts=sql.SQL(", ").join(
            sql.SQL("{} text").format(sql.Identifier(column.name)) for column in columns
        ),
    )


def _value(column: Column) -> sql.Composable:
    name = sql.Identifier("x", column.name)
    if column.kind is ColumnKind.TIMESTAMP:
        return sql.SQL("({}::timestamptz AT TIME ZONE 'UTC')").format(name)
    return sql.SQL("{}::{}").format(name, sql.SQL(cast_type(column)))


def _array(documents: Sequence[bytes]) -> str:
    return (b"[" + b",".join(_own(document) for document in documents) + b"]").decode()


def _own(document: bytes) -> bytes:
    """A document without the content that was added to it: no column, and maybe with NUL in it."""
    if _ADDED not in document:
        return document
    return msgspec.json.encode(
        {k: v for k, v in _members(document).items() if not k.endswith("_offloaded")}
    )


def _generated(cursor: Any, connection: PgConnection, table: str) -> frozenset[str]:
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attgenerated <> ''",
        (identifier(table).as_string(connection),),
    )
    return frozenset(name for (name,) in cursor)
