"""What a stream is: one declared kind of record, as data that every store can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any


class JsonMode(str, Enum):
    """How a column that holds JSON reaches the search engine."""

    TEXT = "text"
    """Byte for byte as text, full-text searchable. The default: nothing can be changed by it."""
    OBJECT = "object"
    """Parsed and checked per field, dynamic sub-fields."""
    FLAT_OBJECT = "flat_object"
    """Parsed and checked per field, one flattened field."""


class TextIndex(str, Enum):
    """How the search engine indexes long texts: columns of text and of JSON kept as text."""

    FULL = "full"
    """Full text: words, phrases, relevance."""
    MATCH_ONLY = "match_only"
    """Words and phrases without relevance: phrases are slower, the index is smaller."""
    STORED = "stored"
    """Not searchable; the documents have it."""


class ColumnKind(str, Enum):
    """What a source column holds, as far as rendering and mapping care."""

    UUID = "uuid"
    KEYWORD = "keyword"
    TEXT = "text"
    JSON = "json"
    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    TIMESTAMP_TZ = "timestamp_tz"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Column:
    """One column as found in the source's catalog.

    :param source_type: the database's own type name, shown in plans and part of the hash.
    :param variable: its text form may hold any character (free text), so its length takes part in
        the fingerprint.
    """

    name: str
    kind: ColumnKind
    source_type: str
    variable: bool = False
    json_mode: JsonMode = JsonMode.TEXT


@dataclass(frozen=True, slots=True)
class SettledBy:
    """A row is settled when ``column`` is one of ``values``."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettledWithParent:
    """A row is settled when its parent row is; without a parent, by its ``own`` rule.

    A parent that no longer exists can't change any more: its rows are settled.
    """

    foreign_key: str
    parent_table: str
    parent_key: str
    parent: SettledBy
    own: SettledBy | None = None


SettledRule = SettledBy | SettledWithParent | None
"""``None``: rows never change after insert."""


@dataclass(frozen=True, slots=True)
class Parent:
    """How rows hang on a parent table: what the ``by_parent`` read strategy follows."""

    table: str
    key: str
    foreign_key: str
    event_time: str
    ended_at: str | None


@dataclass(frozen=True, slots=True)
class Offload:
    """Where a row's oversized content went: link table -> file table -> object storage key."""

    link_table: str
    link_row: str
    link_column: str
    link_file: str
    file_table: str
    file_id: str
    file_key: str


@dataclass(frozen=True, slots=True)
class Dependent:
    """Rows of another table that go when a stream's row goes.

    They are those whose ``column`` holds what a row of table ``of`` has in ``of_column``; ``of`` is
    the stream's own table or that of a dependent named before.

    :param stream: the stream whose documents prove these rows, if the migration copies it.
    :param keep: rows that no copied stream proves are kept in the ledger; without this, their
        stream has to be copied.
    :param file_key: the column that names an object of the object storage that goes as well.
    """

    table: str
    key: str
    column: str
    of: str
    of_column: str
    stream: str | None = None
    keep: bool = False
    file_key: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows that name a stream's row and stay: a purge only reports how many there are."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Stream:
    """One declared kind of record.

    :param slug: the stream's part of index names, lower case.
    :param optional: columns some versions of the source lack.
    :param required: columns without which the stream makes no sense.
    :param json_columns: text columns that hold JSON, with the mode wanted for each.
    :param fields: explicit engine field definitions by column; others follow the column's kind.
    :param optional_table: the whole table may be missing in some versions of the source.
    :param dependents: what a purge takes together with a row, parents before children.
    :param references: what a purge leaves in place and reports.
    """

    name: str
    slug: str
    table: str
    key: str
    event_time: str
    tenant_column: str
    settled: SettledRule = None
    parent: Parent | None = None
    offload: Offload | None = None
    required: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    json_columns: Mapping[str, JsonMode] = field(default_factory=lambda: MappingProxyType({}))
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    optional_table: bool = False
    dependents: tuple[Dependent, ...] = ()
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamShape:
    """A stream together with what the source's catalog really has.

    :param columns: in fingerprint order (by name), key and event time included.
    :param offload: the stream's offload link, if its tables exist.
    :param notes: missing optional columns, unknown new ones: shown in the plan.
    """

    stream: Stream
    columns: tuple[Column, ...]
    offload: Offload | None = None
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """The column called ``name``. :raises KeyError: no such column."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
