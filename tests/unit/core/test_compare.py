"""Field by field: a document equals its row by value and by type."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.stream import (
    Column,
    ColumnKind,
    JsonMode,
    Stream,
    StreamShape,
)

K = ColumnKind


def differences(
    kind: ColumnKind, text: str | None, value: Any, mode: JsonMode = JsonMode.TEXT
) -> list[str]:
    shape = StreamShape(
        Stream("s", "s", "s", "c", "c", "c"), (Column("c", kind, "t", json_mode=mode),)
    )
    return list(RowComparer(shape).differences({"c": text}, {"c": value}))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (K.TEXT, None, None),
        (K.TEXT, "", ""),
        (K.TEXT, "a\u2028\U0001f600", "a\u2028\U0001f600"),
        (K.UUID, "3f2b", "3f2b"),
        (K.JSON, '{"a": 1.0,  "a":2}', '{"a": 1.0,  "a":2}'),
        (K.INTEGER, "9223372036854775807", 9223372036854775807),
        (K.INTEGER, "-0", 0),
        (K.FLOAT, "1e+100", 1e100),
        (K.FLOAT, "0.1", 0.1),
        (K.FLOAT, "NaN", "NaN"),
        (K.FLOAT, "-Infinity", "-Infinity"),
        (K.DECIMAL, "12345678901234567890.1200", Decimal("12345678901234567890.12")),
        (K.DECIMAL, "NaN", "NaN"),
        (K.BOOLEAN, "true", True),
        (K.BOOLEAN, "t", True),
        (K.BOOLEAN, "false", False),
        (K.TIMESTAMP_TZ, "2025-01-01 00:00:00+00", "2025-01-01T00:00:00+00:00"),
        (K.TIMESTAMP_TZ, "2025-01-01 00:00:00.1+00", "2025-01-01T00:00:00.1Z"),
        (K.TIMESTAMP, "2025-01-01 00:00:00.123456", "2025-01-01T00:00:00.123456+00:00"),
        (K.TIMESTAMP, "infinity", "infinity"),
        (K.TIMESTAMP_TZ, "0044-03-15 00:00:00+00 BC", "0044-03-15T00:00:00+00:00 BC"),
        (K.OTHER, "{a,b}", "{a,b}"),
    ],
)
def test_equal(kind: ColumnKind, text: str | None, value: Any) -> None:
    assert differences(kind, text, value) == []


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (K.TEXT, None, ""),
        (K.TEXT, "", None),
        (K.TEXT, "null", None),
        (K.TEXT, "1", 1),
        (K.TEXT, "a", "a "),
        (K.TEXT, "\u00e1", "a\u0301"),
        (K.JSON, '{"a":1}', '{"a": 1}'),
        (K.JSON, '{"a":1}', {"a": 1}),
        (K.INTEGER, "1", "1"),
        (K.INTEGER, "1", True),
        (K.INTEGER, "0", False),
        (K.INTEGER, "9007199254740993", 9007199254740992.0),
        (K.INTEGER, "1", [1]),
        (K.FLOAT, "NaN", None),
        (K.FLOAT, "NaN", "nan"),
        (K.FLOAT, "Infinity", float("inf")),
        (K.FLOAT, "0.1", 0.10000000000000002),
        (K.DECIMAL, "NaN", Decimal("NaN")),
        (K.DECIMAL, "0.1", Decimal("0.10000000000000001")),
        (K.BOOLEAN, "true", "true"),
        (K.BOOLEAN, "true", 1),
        (K.BOOLEAN, "false", 0),
        (K.BOOLEAN, "false", None),
        (K.TIMESTAMP_TZ, "2025-01-01 00:00:00+00", "2025-01-01T01:00:00+01:00"),
        (K.TIMESTAMP_TZ, "2025-01-01 00:00:00.123456+00", "2025-01-01T00:00:00.123457+00:00"),
        (K.TIMESTAMP_TZ, "2025-01-01 00:00:00+00", 1735689600000),
        (K.TIMESTAMP_TZ, "0044-03-15 00:00:00+00 BC", "0044-03-15T00:00:00+00:00"),
        (K.TIMESTAMP, "infinity", "-infinity"),
    ],
)
def test_different(kind: ColumnKind, text: str | None, value: Any) -> None:
    (difference,) = differences(kind, text, value)
    assert difference.startswith("c: row has ")


@pytest.mark.parametrize("mode", [JsonMode.OBJECT, JsonMode.FLAT_OBJECT])
@pytest.mark.parametrize(
    ("text", "value", "equal"),
    [
        ('{"b": [1, {"c": null}], "a": "x"}', {"a": "x", "b": [1, {"c": None}]}, True),
        ('{"a": 1.0}', {"a": 1}, True),
        ('{"a": 1}', {"a": True}, False),
        ('{"a": false}', {"a": 0}, False),
        ("[1, 2]", [2, 1], False),
        ("[1]", [1, 2], False),
        ('{"a": 1}', {"a": 1, "b": None}, False),
        ('{"a": 1}', {"b": 1}, False),
        ('{"a": 1}', '{"a": 1}', False),
        ('"text"', "text", True),
        ("5", "5", False),
        ("[]", {}, False),
        ("not json", {"_raw": "not json"}, True),
        ("not json", "not json", False),
        ("not json", {"_raw": "not jsom"}, False),
        ('{"a": NaN}', {"a": None}, True),
        ('{"a": NaN}', {"a": "NaN"}, False),
        ("", {"_raw": ""}, True),
    ],
)
def test_json_columns(mode: JsonMode, text: str, value: Any, equal: bool) -> None:
    """``{"a": 1}`` passed for ``{"a": true}``: Python says so, JSON doesn't."""
    assert (differences(K.JSON, text, value, mode) == []) is equal


def test_json_nested_deeper_than_python_calls() -> None:
    deep = 800 * "[" + "1" + 800 * "]"
    other = 800 * "[" + "2" + 800 * "]"
    assert differences(K.JSON, deep, json.loads(deep), JsonMode.OBJECT) == []
    assert differences(K.JSON, deep, json.loads(other), JsonMode.OBJECT)
    too_deep = 100_000 * "[" + 100_000 * "]"
    assert differences(K.JSON, too_deep, {"_raw": too_deep}, JsonMode.OBJECT) == []


def test_a_missing_field_is_a_difference_even_where_the_row_has_null() -> None:
    shape = StreamShape(Stream("s", "s", "s", "c", "c", "c"), (Column("c", K.TEXT, "text"),))
    assert list(RowComparer(shape).differences({"c": None}, {})) == [
        "c: row has None, document has None"
    ]
    assert list(RowComparer(shape).differences({"c": None}, {"c": None, "c_offloaded": "x"})) == []


def test_every_column_is_compared_and_long_values_are_cut() -> None:
    columns = tuple(Column(name, K.TEXT, "text") for name in "abc")
    shape = StreamShape(Stream("s", "s", "s", "a", "a", "a"), columns)
    row = {"a": "1", "b": "x" * 10_000, "c": "3"}
    found = list(RowComparer(shape).differences(row, {"a": "1", "b": "y", "c": "4"}))
    assert [difference.split(":")[0] for difference in found] == ["b", "c"]
    assert max(map(len, found)) < 200
    assert "(10002 characters)" in found[0]


def between(kind: ColumnKind, wanted: str, document: str) -> list[tuple[str, str]]:
    shape = StreamShape(Stream("s", "s", "s", "c", "c", "c"), (Column("c", kind, "t"),))
    sides = (json.loads(text, parse_float=Decimal) for text in (wanted, document))
    return list(RowComparer(shape).between(*sides))


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (K.TEXT, '{"c": "a\\u00e4"}', '{"c":"aä"}'),
        (K.INTEGER, '{"c": 1}', '{"c": 1.0}'),
        (K.FLOAT, '{"c": 1e2}', '{"c": 100}'),
        (K.DECIMAL, '{"c": 0.10000000000000000000001}', '{"c": 1.0000000000000000000001e-1}'),
        (K.TIMESTAMP, '{"c": "2025-01-01T00:00:00+00:00"}', '{"c": "2025-01-01 00:00:00Z"}'),
        (K.TIMESTAMP, '{"c": null}', '{"c": null}'),
        (K.JSON, '{"c": {"a": [1, {}], "b": 2}}', '{"c": {"b": 2.0, "a": [1, {}]}}'),
        (K.TEXT, '{"c": "x", "more": {"high": 1}}', '{"more": {"high": 1.0}, "c": "x"}'),
    ],
)
def test_two_documents_that_say_the_same(kind: ColumnKind, one: str, other: str) -> None:
    assert between(kind, one, other) == between(kind, other, one) == []


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (K.TEXT, '{"c": "1"}', '{"c": 1}'),
        (K.TEXT, '{"c": ""}', '{"c": null}'),
        (K.BOOLEAN, '{"c": true}', '{"c": 1}'),
        (K.INTEGER, '{"c": 0}', '{"c": null}'),
        (K.DECIMAL, '{"c": 0.10000000000000000000001}', '{"c": 0.1}'),
        (K.TIMESTAMP, '{"c": "2025-01-01T00:00:00+00:00"}', '{"c": "2025-01-01T00:00:00.1Z"}'),
        (K.TIMESTAMP, '{"c": "2025-01-01T00:00:00+00:00"}', '{"c": 1735689600000}'),
        (K.JSON, '{"c": [1, 2]}', '{"c": [2, 1]}'),
    ],
)
def test_two_documents_that_differ(kind: ColumnKind, one: str, other: str) -> None:
    assert [name for name, _ in between(kind, one, other)] == ["c"]
    assert [name for name, _ in between(kind, other, one)] == ["c"]


def test_a_member_that_only_one_of_two_documents_has() -> None:
    assert between(K.TEXT, '{"c": "x", "d": 1}', '{"c": "x"}') == [
        ("d", "d: the row gives 1, document has 'nothing'")
    ]
    assert between(K.TEXT, '{"c": "x"}', "{}") == [("c", "c: the row gives 'x', document has None")]
