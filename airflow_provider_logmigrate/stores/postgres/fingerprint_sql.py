"""The fingerprint as an SQL expression: md5 over a text that no two different rows share.

Values are joined by 0x1f, NULL is 0x1e; a free text might hold these bytes, so the lengths of all
free texts follow, which makes the text injective. ``octet_length`` reads the length without
fetching large values.

What is spelled out here decides every stored fingerprint: another text for any row means another
version of the fingerprint, and documents copied before would all be stale.
"""

from __future__ import annotations

from collections.abc import Collection

from psycopg2 import sql

from airflow_provider_logmigrate.core.stream import Column, ColumnKind, StreamShape

_GROUP = 90
"""A PostgreSQL function takes at most 100 arguments; grouping doesn't change the joined text."""
_NULL = "E'\\x1e'"
_NATIVE_JSON = frozenset({"json", "jsonb"})
_TEXTS = frozenset({"text", "character varying"})
_PRINTED_AS_CAST = frozenset(
    {"uuid", "smallint", "integer", "bigint", "real", "double precision", "numeric"}
    | {"timestamp without time zone", "timestamp with time zone"}
    | _TEXTS
)
"""Types whose printed form, which ``concat_ws`` takes, is the one that ``::text`` gives. Not
``boolean`` (``t`` and ``true``), ``character`` (blanks), ``inet`` and others."""


def fingerprint(shape: StreamShape, not_null: Collection[str]) -> sql.Composable:
    """md5 (hex) of a row ``w``.

    :param not_null: columns that can't be NULL: theirs is the same text from fewer functions.
    """
    values = [_value(column, required=column.name in not_null) for column in shape.columns]
    lengths = [
        _length(column, required=column.name in not_null)
        for column in shape.columns
        if column.variable
    ]
    parts = [*values, *lengths]
    groups = [_joined(parts[at : at + _GROUP]) for at in range(0, len(parts), _GROUP)]
    return sql.SQL("md5({})").format(groups[0] if len(groups) == 1 else _joined(groups))


def _joined(parts: list[sql.Composable]) -> sql.Composable:
    return sql.SQL("concat_ws(E'\\x1f', {})").format(sql.SQL(", ").join(parts))


def _value(column: Column, *, required: bool) -> sql.Composable:
    name = sql.Identifier("w", column.name)
    if required and column.source_type in _PRINTED_AS_CAST:
        return name  # a NULL would be left out by concat_ws, so not without ``required``
    if column.source_type in _TEXTS:
        return sql.SQL("coalesce({}, " + _NULL + ")").format(name)
    return sql.SQL("coalesce({}::text, " + _NULL + ")").format(name)


def _length(column: Column, *, required: bool) -> sql.Composable:
    name = sql.Identifier("w", column.name)
    if (
        column.source_type in _NATIVE_JSON
        or column.source_type == "character"  # octet_length counts the filling blanks
        or column.kind is ColumnKind.OTHER
    ):
        return sql.SQL("coalesce(octet_length({}::text), -1)").format(name)
    if required:
        return sql.SQL("octet_length({})").format(name)
    return sql.SQL("coalesce(octet_length({}), -1)").format(name)
