"""From COPY's bytes to framed documents: one ``write`` call per row, bytes in, bytes out.

COPY's csv format with 0x01 as the quote and 0x02 as the delimiter needs no unescaping: JSON text
can't hold these bytes, so only a raw field with LF, CR, 0x01, 0x02 or the bare word ``null`` is
quoted, and 0x01 in the row tells. Texts come raw: making a JSON string of one costs half as much
here as in the server, which has other work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import msgspec

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.chunk import Chunker
from airflow_provider_logmigrate.core.errors import SourceUnsuitable
from airflow_provider_logmigrate.core.ports import Framing, SourceFinding
from airflow_provider_logmigrate.core.stream import ColumnKind, JsonMode
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql

QUOTE, DELIMITER, NULL = b"\x01", b"\x02", b"null"
COPY_OPTIONS = "(FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02', NULL 'null')"

_HALF = 0xFFFFFFFF
"""Mask of a fingerprint's lower half."""

_encode = msgspec.json.Encoder().encode
_check = msgspec.json.Decoder(msgspec.Raw).decode
_CONSTANTS = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")|-?Infinity|NaN', re.DOTALL)
"""A whole string, or one of the constants that Python writes and JSON doesn't know."""

Resolve = Callable[[str, bytes], bytes]
"""(row key, JSON list of offloaded columns) -> bytes of further JSON members, ``,"a":...``."""


class RowRenderer:
    """The file-like object that COPY writes into.

    Each field is one JSON value by construction (PostgreSQL or this class quoted it) or is checked
    here, so no value can add a field or a bulk action. Columns in ``object`` or ``flat_object``
    mode that aren't valid JSON become ``{"_raw": text}`` (Python's NaN and Infinity become null),
    and that is reported.

    :param rows: SQL of the stream.
    :param framing: of the target.
    :param chunker: receives the documents.
    :param resolve: fetches offloaded content, if the stream has any.
    :param report: receives findings.
    """

    def __init__(
        self,
        rows: RowSql,
        *,
        framing: Framing,
        chunker: Chunker,
        resolve: Resolve | None,
        report: Callable[[SourceFinding], None],
    ) -> None:
        self._rows = rows
        self._framing = framing
        self._chunker = chunker
        self._resolve = resolve
        self._report = report
        columns = rows.shape.columns
        key = rows.shape.column(rows.stream.key)
        self._key_slot = b'"%b"' if rows.is_plain(key) else b"%b"
        self._key_quoted = not rows.is_plain(key)
        members = []
        for column in columns:
            slot = b'"%b"' if rows.is_plain(column) else b"%b"
            members.append(json.dumps(column.name).encode().replace(b"%", b"%%") + b":" + slot)
        self._body = b"{" + b",".join(members) + b',"logmigrate":{"high":%d,"low":%d}%b}\n'
        self._lead = 3 if resolve else 2
        names = [column.name for column in columns]
        self._event_at = self._lead + names.index(rows.stream.event_time)
        self._json = [
            (self._lead + position, column.name)
            for position, column in enumerate(columns)
            if column.kind is ColumnKind.JSON and column.json_mode is not JsonMode.TEXT
        ]
        self._texts = tuple(
            self._lead + position
            for position, column in enumerate(columns)
            if rows.is_raw_text(column)
        )
        self._template = b""
        self._cuts = True
        self._last: tuple[str, bytes] | None = None
        self.rows_seen = 0
        self.bytes_seen = 0
        self.cursor_prefix = ""
        """Marks the cursors of one part of a strategy, whose positions mean nothing to another."""

    @property
    def last(self) -> Cursor | None:
        """Position of the last row, if it is one to resume from."""
        if self._last is None:
            return None
        key, at = self._last
        return Cursor(self.cursor_prefix + at[1:-1].decode(), key)

    @property
    def last_key(self) -> str:
        """Its key."""
        return self._last[0] if self._last else ""

    def begin_page(self, *, version: int, cut_anywhere: bool = True) -> None:
        """Set the version of the documents that follow.

        :param version: time of the read in microseconds since 1970.
        :param cut_anywhere: every row is a position to resume from; otherwise chunks carry no
            cursor until :meth:`end_batch`.
        """
        prefix = self._framing.prefix(version).replace(b"%b", self._key_slot)
        self._template = prefix + self._body
        self._cuts = cut_anywhere

    def end_batch(self, cursor: Cursor) -> None:
        """Everything so far is behind ``cursor``: hand it over."""
        self._chunker.cut(cursor)

    def finish(self) -> None:
        """Hand over the rest."""
        self._chunker.cut(self.last if self._cuts else None)

    def write(self, row: bytes) -> None:
        """Take one row; COPY's protocol sends exactly one per call."""
        if QUOTE in row:
            fields = self._unquoted(row)
        else:
            fields = row[:-1].split(DELIMITER)
            for position in self._texts:
                value = fields[position]
                if value != NULL:
                    fields[position] = _encode(value.decode())
        key = fields[0]
        if key == NULL:
            raise no_key(self._rows.stream.table)
        if self._json:
            self._check_json(fields)
        lead = self._lead
        more = b""
        if lead == 3 and fields[2] != NULL and self._resolve is not None:
            more = self._resolve(self._text(key), fields[2])
        halves = int(fields[1][:16], 16)
        document = self._template % (key, *fields[lead:], halves >> 32, halves & _HALF, more)
        self.rows_seen += 1
        self.bytes_seen += len(document)
        text_key = self._text(key) if self._key_quoted else key.decode()
        if self._cuts:
            self._last = (text_key, fields[self._event_at])
        if self._chunker.add(document, text_key):
            self._chunker.cut(self.last if self._cuts else None)

    def _unquoted(self, row: bytes) -> list[bytes]:
        """The fields of a row in which one at least is quoted: a text ``null`` isn't NULL."""
        return [
            NULL if value is None else _encode(value.decode()) if position in self._texts else value
            for position, value in enumerate(unquote(row))
        ]

    def _text(self, key: bytes) -> str:
        return str(json.loads(key)) if self._key_quoted else key.decode()

    def _check_json(self, fields: list[bytes]) -> None:
        for position, name in self._json:
            value = fields[position]
            if value == NULL:
                continue
            try:
                _check(value)
            except (msgspec.DecodeError, RecursionError):
                fields[position], how = _repair(value)
                self._report(
                    SourceFinding(
                        "json_repaired",
                        self._text(fields[0]),
                        f"column {name} isn't valid JSON: {how}",
                    )
                )
            else:
                fields[position] = _one_line(value)


def no_key(table: str) -> SourceUnsuitable:
    """The error for a row whose key is NULL: the engine would invent an id for it."""
    return SourceUnsuitable(
        "a row has no key",
        where=table,
        next_step="give every row a key, or declare another column as the stream's key",
    )


def _one_line(value: bytes) -> bytes:
    """Valid JSON without line breaks: they are whitespace, but would break the framing."""
    if b"\n" in value or b"\r" in value:
        return value.replace(b"\n", b" ").replace(b"\r", b" ")
    return value


def _repair(value: bytes) -> tuple[bytes, str]:
    """The value as valid JSON, and what was done to it.

    Only the constants are replaced, byte for byte: parsing would round long numbers and drop
    repeated names without a word.
    """
    swapped = _CONSTANTS.sub(lambda found: found[1] or b"null", value)
    try:
        _check(swapped)
    except (msgspec.DecodeError, RecursionError):
        return json.dumps({"_raw": value.decode()}).encode(), "kept as text under _raw"
    return _one_line(swapped), "its NaN and Infinity became null"


def unquote(row: bytes) -> list[bytes | None]:
    """Split a row in which at least one field is quoted; ``None`` for NULL, which never is."""
    fields: list[bytes | None] = []
    position, row = 0, row[:-1] + DELIMITER
    while position < len(row):
        if row[position : position + 1] != QUOTE:
            end = row.index(DELIMITER, position)
            value = row[position:end]
            fields.append(None if value == NULL else value)
            position = end + 1
            continue
        value, position = unquote_first(row, position)
        fields.append(value)
    return fields


def unquote_first(row: bytes, position: int = 0) -> tuple[bytes, int]:
    """The quoted field that begins at a position, and where the next one begins."""
    end = position + 1
    while True:
        end = row.index(QUOTE, end)
        if row[end + 1 : end + 2] != QUOTE:
            break
        end += 2
    return row[position + 1 : end].replace(QUOTE + QUOTE, QUOTE), end + 2
