"""SQL expressions over one row: JSON-ready values, fingerprint, settled rule, range.

Every query aliases the table as ``w`` and orders by qualified names: an unqualified ORDER BY takes
an output alias, misses the index and sorts each page (measured: 8 times slower).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg2 import sql

from airflow_provider_logmigrate.core.errors import SourceUnsuitable, TenantInvalid
from airflow_provider_logmigrate.core.stream import (
    Column,
    ColumnKind,
    JsonMode,
    SettledBy,
    SettledRule,
    SettledWithParent,
    StreamShape,
)
from airflow_provider_logmigrate.stores.postgres import fingerprint_sql, settled_sql
from airflow_provider_logmigrate.stores.postgres.catalog import identifier

_UNBOUNDED = {"character": "bpchar", "bit": "bit varying"}
"""Types whose bare name means a length of 1 in a cast: ``'abc'::character`` is ``'a'``."""
_INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_NATIVE_JSON = frozenset({"json", "jsonb"})
_TEXTS = frozenset({"text", "character varying"})


def col(name: str) -> sql.Composable:
    """``w."name"``."""
    return sql.Identifier("w", name)


class RowSql:
    """Compiles one stream's shape to SQL fragments.

    :param shape: stream and columns.
    :param not_null: columns that can't be NULL; a UUID among them needs no quoting function.
    :raises SourceUnsuitable: the event time isn't a timestamp.
    """

    def __init__(self, shape: StreamShape, *, not_null: frozenset[str]) -> None:
        self.shape = shape
        self.stream = shape.stream
        self._not_null = not_null
        self.event_kind = shape.column(self.stream.event_time).kind
        if self.event_kind not in (ColumnKind.TIMESTAMP, ColumnKind.TIMESTAMP_TZ):
            raise SourceUnsuitable(
                f"event time {self.stream.event_time} isn't a timestamp", where=self.stream.table
            )
        self.key_type = cast_type(shape.column(self.stream.key))
        self.table = sql.SQL("{} AS w").format(identifier(self.stream.table))
        self.event_time = col(self.stream.event_time)
        self.key = col(self.stream.key)

    def is_plain(self, column: Column) -> bool:
        """True if the raw value needs only quotes around it: a UUID that can't be NULL."""
        return column.kind is ColumnKind.UUID and column.name in self._not_null

    def is_raw_text(self, column: Column) -> bool:
        """True if the value comes as it is and becomes a JSON string here.

        That costs half as much here as in the server, which has other work.
        """
        if column.kind is ColumnKind.JSON:
            return column.json_mode is JsonMode.TEXT
        return column.source_type in _TEXTS

    def value(self, column: Column) -> sql.Composable:
        """The column as a JSON value's text (a plain UUID without its quotes, a raw text bare).

        Special values (NaN, infinity, far years) come out as JSON strings, so nothing is changed
        or lost; the engine keeps them in ``_source`` and leaves them out of the index.
        """
        name = col(column.name)
        if self.is_plain(column) or column.kind is ColumnKind.INTEGER:
            return name
        if column.kind is ColumnKind.JSON:
            return name if column.source_type in _TEXTS else sql.SQL("{}::text").format(name)
        if self.is_raw_text(column):
            return name
        if column.kind is ColumnKind.TIMESTAMP:
            return sql.SQL("to_json({}::timestamptz)").format(name)
        if column.kind is ColumnKind.OTHER:
            return sql.SQL("to_json({}::text)").format(name)
        if column.source_type == "character":  # without the blanks that only fill it up
            return sql.SQL("to_json({}::text)").format(name)
        return sql.SQL("to_json({})").format(name)

    @property
    def key_value(self) -> sql.Composable:
        """The key as a JSON string (a plain UUID without its quotes)."""
        if self.is_plain(self.shape.column(self.stream.key)):
            return self.key
        return sql.SQL("to_json({}::text)").format(self.key)

    @property
    def fingerprint(self) -> sql.Composable:
        """See :func:`fingerprint_sql.fingerprint`."""
        return fingerprint_sql.fingerprint(self.shape, self._not_null)

    @property
    def settled(self) -> sql.Composable:
        """True for a row of ``table`` that will not change any more; never NULL."""
        return settled_sql.settled(self.stream.settled)

    @property
    def with_parent(self) -> sql.Composable:
        """``table`` for statements that use :attr:`settled_beside_parent`."""
        return settled_sql.with_parent(self.table, self.stream.settled)

    @property
    def settled_beside_parent(self) -> sql.Composable:
        """The same as :attr:`settled` for rows of :attr:`with_parent`, at half the cost."""
        return settled_sql.settled_beside_parent(self.stream.settled)

    @property
    def unpacked(self) -> sql.Composable:
        """All columns for a subquery ``w`` in which large values are unpacked.

        Value and fingerprint both need a large value's text: above such a subquery it was
        decompressed and fetched, or printed if it isn't a text, once instead of twice or more. The
        subquery needs a LIMIT or an OFFSET, else the planner pulls these expressions up to where
        they are used.
        """
        return sql.SQL(", ").join(self._unpacked(column) for column in self.shape.columns)

    def _unpacked(self, column: Column) -> sql.Composable:
        name = col(column.name)
        if column.name in self._compared:
            return name
        alias = sql.Identifier(column.name)
        if column.source_type == "text":
            return sql.SQL("({} || '') AS {}").format(name, alias)
        if column.source_type in _NATIVE_JSON or column.kind is ColumnKind.OTHER:
            return sql.SQL("{}::text AS {}").format(name, alias)
        return name

    @property
    def _compared(self) -> frozenset[str]:
        """Columns that stay as they are: rules and orders compare them in their own type."""
        rule: SettledRule = self.stream.settled
        names = {self.stream.key, self.stream.event_time, self.stream.tenant_column}
        if isinstance(rule, SettledBy):
            names.add(rule.column)
        elif isinstance(rule, SettledWithParent):
            names |= {rule.foreign_key} | ({rule.own.column} if rule.own else set())
        return frozenset(names)

    @property
    def offloaded(self) -> sql.Composable | None:
        """JSON list of [column, storage key or null] of the row's offloaded content, or NULL."""
        link = self.shape.offload
        if link is None:
            return None
        return sql.SQL(
            # Most installations have no such content: then one look serves all rows.
            "CASE WHEN (SELECT EXISTS (SELECT 1 FROM {links})) THEN"
            " (SELECT json_agg(json_build_array(o.{column}, f.{key}))"
            " FROM {links} AS o LEFT JOIN {files} AS f ON f.{file_id} = o.{link_file}"
            " WHERE o.{link_row} = {row}) END"
        ).format(
            column=sql.Identifier(link.link_column),
            key=sql.Identifier(link.file_key),
            links=identifier(link.link_table),
            files=identifier(link.file_table),
            file_id=sql.Identifier(link.file_id),
            link_file=sql.Identifier(link.link_file),
            link_row=sql.Identifier(link.link_row),
            row=self.key,
        )

    def moment(self, moment: datetime | str) -> sql.Composable:
        """A UTC moment as a literal of the event time's type."""
        text = moment if isinstance(moment, str) else moment.isoformat()
        if self.event_kind is ColumnKind.TIMESTAMP:
            return sql.SQL("({}::timestamptz AT TIME ZONE 'UTC')").format(sql.Literal(text))
        return sql.SQL("{}::timestamptz").format(sql.Literal(text))

    def key_literal(self, key: str) -> sql.Composable:
        """A key as a literal of the key's type."""
        return sql.SQL("{}::{}").format(sql.Literal(key), sql.SQL(self.key_type))

    def tenant(self, tenant: str) -> sql.Composable:
        """``w.tenant_column = <tenant>``.

        :raises TenantInvalid: the column can't hold such a value.
        """
        column = self.shape.column(self.stream.tenant_column)
        if not _storable(tenant):
            raise TenantInvalid(
                "the tenant holds a character that PostgreSQL can't store", where=repr(tenant)
            )
        if not self.may_be_tenant(tenant):
            raise TenantInvalid(
                f"column {column.name} of {self.stream.table} holds UUIDs, the tenant isn't one",
                where=tenant,
            )
        return sql.SQL("{} = {}::{}").format(
            col(column.name), sql.Literal(tenant), sql.SQL(cast_type(column))
        )

    def may_be_tenant(self, tenant: str) -> bool:
        """False if the tenant column can't hold such a value."""
        column = self.shape.column(self.stream.tenant_column)
        return _storable(tenant) and (column.kind is not ColumnKind.UUID or _is_uuid(tenant))

    @property
    def tenant_column(self) -> sql.Composable:
        """The tenant column, qualified."""
        return col(self.stream.tenant_column)

    def tenant_array(self, tenants: Sequence[str]) -> sql.Composable:
        """Tenants as an array of the column's type."""
        column = self.shape.column(self.stream.tenant_column)
        return sql.SQL("{}::{}[]").format(sql.Literal(list(tenants)), sql.SQL(cast_type(column)))

    def within(self, tenant: str, start: datetime, end: datetime) -> sql.Composable:
        """Tenant and half-open range of event time."""
        return sql.SQL("{tenant} AND {at} >= {start} AND {at} < {end}").format(
            tenant=self.tenant(tenant),
            at=self.event_time,
            start=self.moment(start),
            end=self.moment(end),
        )

    def after(self, event_time: str, key: str) -> sql.Composable:
        """Rows behind a cursor in (event time, key) order."""
        return sql.SQL("({at}, {key}) > ({moment}, {after})").format(
            at=self.event_time,
            key=self.key,
            moment=self.moment(event_time),
            after=self.key_literal(key),
        )

    @property
    def order(self) -> sql.Composable:
        """(event time, key), qualified."""
        return sql.SQL("{}, {}").format(self.event_time, self.key)

    def key_in(self, keys: Sequence[str]) -> sql.Composable:
        """``w.key = ANY(...)``; a text that can't be a key of this table is left out."""
        return sql.SQL("{} = ANY({}::{}[])").format(
            self.key, sql.Literal(self.possible_keys(keys)), sql.SQL(self.key_type)
        )

    def possible_keys(self, keys: Sequence[str]) -> list[str]:
        """Those of the texts that can be a key of this table."""
        return [key for key in keys if self._may_be_key(key)]

    def _may_be_key(self, text: str) -> bool:
        column = self.shape.column(self.stream.key)
        if column.kind is ColumnKind.UUID:
            return _is_uuid(text)
        if column.kind is ColumnKind.INTEGER:
            bound = _INTEGERS[column.source_type]
            digits = text.removeprefix("-")
            return (
                digits.isascii()
                and digits.isdigit()
                and len(digits) < 20
                and -bound <= int(text) < bound
            )
        return _storable(text)


def cast_type(column: Column) -> str:
    """The column's type as a cast can name it without changing the value."""
    return _UNBOUNDED.get(column.source_type, column.source_type)


def _storable(text: str) -> bool:
    """True unless it holds NUL or half a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
