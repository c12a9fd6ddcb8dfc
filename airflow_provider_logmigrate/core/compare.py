"""Field by field comparison of a row's own text with its document.

Deliberately not the code that renders documents: a rendering mistake must show up here. The row
comes as the database's text output, the document as the engine returned it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_provider_logmigrate.core.stream import Column, ColumnKind, JsonMode, StreamShape

_SHOWN = 80


class RowComparer:
    """Compares rows and documents of one stream.

    :param shape: the stream and its columns.
    """

    def __init__(self, shape: StreamShape) -> None:
        self._columns = shape.columns
        self._names = {column.name for column in shape.columns}
        self._event_time = shape.stream.event_time

    def differences(
        self, row: Mapping[str, str | None], document: Mapping[str, Any]
    ) -> Iterator[str]:
        """One sentence per column whose value isn't the row's.

        Types count: the number 1 isn't the text "1".
        """
        for column in self._columns:
            value = document.get(column.name)
            text = row[column.name]
            if column.name not in document or not _same(column, text, value):
                yield f"{column.name}: row has {_shown(text)}, document has {_shown(value)}"

    def between(
        self, wanted: Mapping[str, Any], document: Mapping[str, Any]
    ) -> Iterator[tuple[str, str]]:
        """Each member in which a document isn't the one wanted: its name and a sentence.

        Both come from JSON, with exact decimals. Here the one wanted was made by the code that
        copies, so what that code gets wrong is found by :meth:`differences` alone.
        """
        for column in self._columns:
            name = column.name
            if name not in document or not _same_member(column, wanted[name], document[name]):
                yield name, _told(name, wanted[name], document.get(name))
        for name in sorted((wanted.keys() | document.keys()) - self._names):
            if name not in wanted or name not in document:
                yield name, _told(name, wanted.get(name, "nothing"), document.get(name, "nothing"))
            elif not _equal(wanted[name], document[name]):
                yield name, _told(name, wanted[name], document[name])

    def hour(self, document: Mapping[str, Any]) -> datetime:
        """The hour of a document's event time."""
        return datetime.fromisoformat(f"{document[self._event_time][:13]}:00:00+00:00")

    def is_added(self, name: str) -> bool:
        """True for a member that stands beside the row's own columns."""
        return name not in self._names


def _same(column: Column, text: str | None, value: Any) -> bool:
    if text is None or value is None:
        return text is None and value is None
    if column.kind is ColumnKind.JSON and column.json_mode is not JsonMode.TEXT:
        return _same_json(text, value)
    if column.kind is ColumnKind.BOOLEAN:
        return value is (text in ("t", "true"))
    if column.kind in (ColumnKind.INTEGER, ColumnKind.FLOAT, ColumnKind.DECIMAL):
        return _same_number(text, value)
    if column.kind in (ColumnKind.TIMESTAMP, ColumnKind.TIMESTAMP_TZ):
        return isinstance(value, str) and _instant(value) == _instant(text)
    return isinstance(value, str) and value == text


def _same_member(column: Column, wanted: Any, value: Any) -> bool:
    if column.kind in (ColumnKind.TIMESTAMP, ColumnKind.TIMESTAMP_TZ):
        both = isinstance(wanted, str) and isinstance(value, str)
        return _instant(wanted) == _instant(value) if both else wanted == value
    return _equal(wanted, value)


def _same_number(text: str, value: Any) -> bool:
    if isinstance(value, str):
        return value == text and text in ("NaN", "Infinity", "-Infinity")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    try:
        number = Decimal(str(value))
        return number.is_finite() and number == Decimal(text)
    except InvalidOperation:
        return False


def _instant(text: str) -> str:
    """A timestamp's text in one spelling: both sides print UTC with up to six digits."""
    text = text.replace("T", " ", 1)
    for zone in ("+00:00", "+00", "Z"):  # in front of " BC", where there is one
        if zone in text:
            return text.replace(zone, "", 1)
    return text


def _same_json(text: str, value: Any) -> bool:
    """Equal as JSON values; text that isn't valid JSON is kept under ``_raw``."""
    try:
        # Decimals on both sides: targets hand over numbers exactly as they stand in the document.
        parsed = json.loads(text, parse_constant=lambda _: None, parse_float=Decimal)
    except (ValueError, RecursionError):
        return _equal({"_raw": text}, value)
    return _equal(parsed, value)


def _equal(left: Any, right: Any) -> bool:
    """Equal as JSON: ``1`` equals ``1.0``, but not ``true`` as Python would have it."""
    pending = [(left, right)]
    while pending:  # a stack of its own: documents may be nested deeper than Python calls
        one, other = pending.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            if one.keys() != other.keys():
                return False
            pending += [(value, other[name]) for name, value in one.items()]
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            pending += zip(one, other, strict=True)
        elif isinstance(one, bool) is not isinstance(other, bool) or _number(one) != _number(other):
            return False
    return True


def _number(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def _told(name: str, wanted: Any, value: Any) -> str:
    return f"{name}: the row gives {_shown(wanted)}, document has {_shown(value)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
