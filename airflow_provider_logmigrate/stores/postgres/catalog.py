"""What the source's catalog says about a stream's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.errors import SourceUnsuitable
from airflow_provider_logmigrate.core.stream import (
    Column,
    ColumnKind,
    JsonMode,
    Stream,
    StreamShape,
)

_KINDS = {
    "uuid": ColumnKind.UUID,
    "character varying": ColumnKind.KEYWORD,
    "character": ColumnKind.KEYWORD,
    "name": ColumnKind.KEYWORD,
    "text": ColumnKind.TEXT,
    "json": ColumnKind.JSON,
    "jsonb": ColumnKind.JSON,
    "smallint": ColumnKind.INTEGER,
    "integer": ColumnKind.INTEGER,
    "bigint": ColumnKind.INTEGER,
    "real": ColumnKind.FLOAT,
    "double precision": ColumnKind.FLOAT,
    "numeric": ColumnKind.DECIMAL,
    "boolean": ColumnKind.BOOLEAN,
    "timestamp without time zone": ColumnKind.TIMESTAMP,
    "timestamp with time zone": ColumnKind.TIMESTAMP_TZ,
}
RESERVED = "logmigrate"
"""Field of every document that holds its fingerprint."""
_VARIABLE = frozenset({ColumnKind.KEYWORD, ColumnKind.TEXT, ColumnKind.JSON, ColumnKind.OTHER})


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What planning needs to know of a table.

    :param not_null: columns that can't be NULL.
    :param indexes: column lists of usable (valid, not partial) btree indexes.
    :param rows: the planner's estimate of rows in the whole table; -1 if never analysed.
    :param bytes: of the table with its TOAST, without indexes.
    :param unique: columns that no two rows share.
    """

    columns: tuple[tuple[str, str], ...]
    not_null: frozenset[str]
    indexes: tuple[tuple[str, ...], ...]
    rows: int
    bytes: int
    unique: frozenset[str] = frozenset()


def identifier(table: str) -> sql.Identifier:
    """``table`` or ``schema.table`` as a quoted name."""
    return sql.Identifier(*table.split(".", 1))


def table_facts(connection: PgConnection, table: str) -> TableFacts | None:
    """Read a table's facts; ``None`` if there is no such table.

    :raises SourceUnsuitable: the table can't be read by this login.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.oid, c.reltuples::bigint, c.relkind::text,"
            " has_table_privilege(c.oid, 'SELECT'), row_security_active(c.oid)"
            " FROM pg_class c WHERE c.oid = to_regclass(%s)",
            (identifier(table).as_string(connection),),
        )
        found = cursor.fetchone()
        if found is None:
            return None
        oid, rows, kind, readable, filtered = found
        if not readable:
            raise SourceUnsuitable(
                "the login may not read a table",
                where=table,
                next_step=f"GRANT SELECT ON {table} TO the connection's user",
            )
        if filtered:
            raise SourceUnsuitable(
                "row-level security hides rows of a table from the login",
                where=table,
                next_step="let the connection's user own the table, or give it BYPASSRLS",
            )
        cursor.execute(
            # PostgreSQL 18 knows NOT NULL constraints that older rows may break.
            "SELECT a.attname, format_type(a.atttypid, NULL), a.attnotnull AND NOT EXISTS"
            " (SELECT 1 FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n'"
            " AND a.attnum = ANY(k.conkey) AND NOT k.convalidated) FROM pg_attribute a"
            " WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            (oid,),
        )
        columns = cursor.fetchall()
        cursor.execute(
            "SELECT array_agg(a.attname::text ORDER BY k.n), bool_and(i.indisunique)"
            " FROM pg_index i"
            " JOIN pg_class ic ON ic.oid = i.indexrelid"
            " JOIN pg_am am ON am.oid = ic.relam AND am.amname = 'btree'"
            " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)"
            " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
            " WHERE i.indrelid = %s AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
            " AND k.n <= i.indnkeyatts"  # INCLUDEd columns have no order
            " GROUP BY i.indexrelid",
            (oid,),
        )
        found_indexes = [(tuple(names), unique) for names, unique in cursor.fetchall()]
        cursor.execute("SELECT pg_table_size(%s)", (oid,))
        size = cursor.fetchone()
        if kind == "p":  # a partitioned table itself is empty: its children hold the bytes
            cursor.execute(
                "SELECT coalesce(sum(pg_table_size(relid)), 0), coalesce(sum(c.reltuples), -1)"
                " FROM pg_partition_tree(%s) t JOIN pg_class c ON c.oid = t.relid"
                " WHERE t.isleaf",
                (oid,),
            )
            size = cursor.fetchone()
            rows = int(size[1]) if size else -1
    return TableFacts(
        columns=tuple((name, kind) for name, kind, _ in columns),
        not_null=frozenset(name for name, _, required in columns if required),
        indexes=tuple(names for names, _ in found_indexes),
        rows=rows,
        bytes=int(size[0]) if size else 0,
        unique=frozenset(names[0] for names, unique in found_indexes if unique and len(names) == 1),
    )


def shape_of(connection: PgConnection, stream: Stream, facts: TableFacts) -> StreamShape:
    """Match a stream with the columns that are really there.

    A missing optional column and an unknown new one are noted and handled; a missing required
    column is an error.

    :raises SourceUnsuitable: a required column is missing.
    """
    names = {name for name, _ in facts.columns}
    needed = {stream.key, stream.event_time, stream.tenant_column, *stream.required}
    if missing := sorted(needed - names):
        raise SourceUnsuitable(
            f"table {stream.table} lacks required column(s) {', '.join(missing)}",
            where=stream.name,
        )
    if RESERVED in names:
        raise SourceUnsuitable(
            f"table {stream.table} has a column {RESERVED}, the name of the documents' own field",
            where=stream.name,
            next_step="declare the stream on a view that renames the column",
        )
    notes = []
    if stream.key not in facts.unique:
        notes.append(
            f"{stream.table}: no unique index on {stream.key} alone: rows that share a key"
            " overwrite each other in the target, and the proof fails"
        )
    if stream.event_time not in facts.not_null:
        notes.append(
            f"{stream.table}: {stream.event_time} may be NULL: such rows belong to no period and"
            " are neither copied nor counted"
        )
    if absent := sorted(set(stream.known) - names):
        notes.append(f"{stream.table}: this version has no column {', '.join(absent)}")
    if stream.known and (unknown := sorted(names - set(stream.known) - needed)):
        notes.append(
            f"{stream.table}: unknown column(s) {', '.join(unknown)}: copied by their type"
        )
    columns = tuple(_column(stream, name, kind) for name, kind in sorted(facts.columns))
    offload = stream.offload
    if offload is not None and not _tables_exist(
        connection, (offload.link_table, offload.file_table)
    ):
        offload = None
    return StreamShape(stream, columns, offload, tuple(notes))


def _column(stream: Stream, name: str, source_type: str) -> Column:
    kind = _KINDS.get(source_type, ColumnKind.OTHER)
    mode = stream.json_columns.get(name)
    if mode is not None and kind in (ColumnKind.TEXT, ColumnKind.KEYWORD):
        kind = ColumnKind.JSON
    return Column(name, kind, source_type, kind in _VARIABLE, mode or JsonMode.TEXT)


def _tables_exist(connection: PgConnection, tables: Sequence[str]) -> bool:
    return all(table_facts(connection, table) is not None for table in tables)
