"""Everything a real table can hold: the text columns arrive byte for byte, nothing else does.

The cases are those of the read path's edge case table and all of ``HOSTILE_VALUES``, in both modes
of JSON columns, on both schema variants.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import psycopg2
import pytest

from airflow_provider_logmigrate.core.ports import SourceFinding
from airflow_provider_logmigrate.core.stream import ColumnKind, JsonMode, Stream
from airflow_provider_logmigrate.core.unit import Period
from airflow_provider_logmigrate.streams import dify as dify_pack
from devstack.sampledata import HOSTILE_VALUES
from tests.integration.postgres.conftest import SampleDatabase
from tests.integration.postgres.rig import Document, Rig, deep_json, own_stream

_TEXTS = (ColumnKind.TEXT, ColumnKind.KEYWORD, ColumnKind.UUID, ColumnKind.OTHER)
_NUMBERS = (ColumnKind.INTEGER, ColumnKind.FLOAT, ColumnKind.DECIMAL)
_TIMES = (ColumnKind.TIMESTAMP, ColumnKind.TIMESTAMP_TZ)
_SPECIAL_NUMBERS = ("NaN", "Infinity", "-Infinity")
TABLES = ("workflow_runs", "workflow_node_executions")
CASES = pytest.mark.parametrize("case", sorted(HOSTILE_VALUES))
STREAMS = pytest.mark.parametrize("table", TABLES)


def _with_mode(stream: Stream, mode: JsonMode) -> Stream:
    return replace(stream, json_columns=dict.fromkeys(stream.json_columns, mode), offload=None)


class _Copied:
    """Both tables read once, and the same rows as the database itself prints them."""

    def __init__(self, sample: SampleDatabase, mode: JsonMode) -> None:
        streams = [_with_mode(s, mode) for s in dify_pack.streams() if s.name in TABLES]
        self.rig = Rig(sample.dsn, *streams, page_rows=700, chunk_bytes=300_000)
        self.documents: dict[str, dict[str, Document]] = {}
        self.rows: dict[str, dict[str, dict[str, str | None]]] = {}
        self.findings: dict[str, list[SourceFinding]] = {}
        for table in TABLES:
            found: dict[str, Document] = {}
            self.findings[table] = []
            for tenant in sample.profile.tenant_ids:
                for month in sample.profile.month_names:
                    plan = self.rig.plan(table, tenant, Period.from_label(month))
                    reading = self.rig.read(plan)
                    found |= reading.by_key()
                    self.findings[table] += reading.findings
            self.documents[table] = found
            self.rows[table] = self._printed(sample, table)

    def _printed(self, sample: SampleDatabase, table: str) -> dict[str, dict[str, str | None]]:
        names = [column.name for column in self.rig.found[table].shape.columns]
        columns = ", ".join(f'"{name}"::text' for name in names)
        connection = psycopg2.connect(sample.dsn)
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id::text, {columns} FROM {table}")
            printed = {key: dict(zip(names, row, strict=True)) for key, *row in cursor.fetchall()}
        connection.close()
        return printed


@lru_cache(maxsize=6)
def _cached(dsn: str, mode: JsonMode) -> _Copied:
    return _Copied(_SAMPLES[dsn], mode)


_SAMPLES: dict[str, SampleDatabase] = {}


def copied(sample: SampleDatabase, mode: JsonMode) -> _Copied:
    _SAMPLES[sample.dsn] = sample
    return _cached(sample.dsn, mode)


def hostile_key(sample: SampleDatabase, table: str, case: str) -> str:
    place = sample.counts.hostile[case]
    return place.run_id if table == "workflow_runs" else place.node_execution_id


def assert_row_arrived(copy: _Copied, table: str, key: str, *, mode: JsonMode) -> None:
    """Every column of the document is the row's, and the document has no other."""
    document = copy.documents[table][key].source
    row = copy.rows[table][key]
    shape = copy.rig.found[table].shape
    assert sorted(document) == sorted([*row, "logmigrate"])
    for column in shape.columns:
        text, value = row[column.name], document[column.name]
        if column.kind is ColumnKind.JSON and mode is not JsonMode.TEXT:
            assert value == _object_form(text)[0], column.name
        elif text is None:
            assert value is None, column.name
        elif column.kind in _TEXTS or column.kind is ColumnKind.JSON:
            assert value == text, column.name
        elif column.kind in _NUMBERS:
            assert value == (text if text in _SPECIAL_NUMBERS else json.loads(text)), column.name
        elif column.kind in _TIMES:
            assert isinstance(value, str)
            assert value.replace("T", " ").replace("+00:00", "") == text, column.name
        else:
            raise AssertionError(f"{column.name} has kind {column.kind}: say how to compare it")


@STREAMS
@CASES
def test_text_mode_keeps_every_byte(dify: SampleDatabase, table: str, case: str) -> None:
    copy = copied(dify, JsonMode.TEXT)
    assert_row_arrived(copy, table, hostile_key(dify, table, case), mode=JsonMode.TEXT)


@STREAMS
def test_text_mode_keeps_every_row_and_reports_nothing(dify: SampleDatabase, table: str) -> None:
    copy = copied(dify, JsonMode.TEXT)
    settled = sum(unit.settled for (name, _, _), unit in dify.counts.units.items() if name == table)
    assert len(copy.documents[table]) == settled
    for key in copy.documents[table]:
        assert_row_arrived(copy, table, key, mode=JsonMode.TEXT)
    assert copy.findings[table] == []


def _strict(text: str) -> Any:
    """The text's value under the JSON standard, as the engines read it.

    :raises ValueError: it isn't JSON, or holds half a surrogate pair, which UTF-8 can't carry.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    with deep_json():
        value = json.loads(text, parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _object_form(text: str | None) -> tuple[Any, bool]:
    """What object mode makes of a text, and whether that is the text's own value."""
    if text is None:
        return None, True
    if text.startswith('{"a":' * 4_000):  # deeper than any engine or checker goes
        return {"_raw": text}, False
    try:
        return _strict(text), True
    except ValueError:
        pass
    try:
        value = json.loads(text, parse_constant=lambda _: None)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return {"_raw": text}, False
    return value, False


@pytest.mark.parametrize("mode", [JsonMode.OBJECT, JsonMode.FLAT_OBJECT])
@STREAMS
@CASES
def test_object_mode_repairs_and_reports(
    new_dify: SampleDatabase, table: str, case: str, mode: JsonMode
) -> None:
    copy = copied(new_dify, mode)
    key = hostile_key(new_dify, table, case)
    assert_row_arrived(copy, table, key, mode=mode)
    row = copy.rows[table][key]
    broken = {
        name
        for name in copy.rig.found[table].shape.stream.json_columns
        if not _object_form(row[name])[1]
    }
    reported = [f for f in copy.findings[table] if f.key == key]
    assert {f.kind for f in reported} == ({"json_repaired"} if broken else set())
    assert len(reported) == len(broken)
    for name in broken:
        assert any(name in finding.detail for finding in reported)


@STREAMS
def test_object_mode_reports_only_what_it_changed(new_dify: SampleDatabase, table: str) -> None:
    copy = copied(new_dify, JsonMode.OBJECT)
    reported = {finding.key for finding in copy.findings[table]}
    for key, document in copy.documents[table].items():
        assert_row_arrived(copy, table, key, mode=JsonMode.OBJECT)
        for name in copy.rig.found[table].shape.stream.json_columns:
            if key not in reported:
                assert document.source[name] == (
                    None if (text := copy.rows[table][key][name]) is None else _strict(text)
                )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"n": 123456789012345678901234567890}', b'{"n": 123456789012345678901234567890}'),
        ('{"p": 0.1234567890123456789012345678901}', b'{"p": 0.1234567890123456789012345678901}'),
        ('{\n "a": [\r\n  1 ]\n}', b'{  "a": [    1 ] }'),
        # Only the constant is touched: no rounding, no lost repetition, no other spelling.
        (
            '{"s": NaN, "p": 0.12345678901234567890123, "q": "NaN, -Infinity \\" NaN", "p2": 1e2}',
            b'{"s": null, "p": 0.12345678901234567890123,'
            b' "q": "NaN, -Infinity \\" NaN", "p2": 1e2}',
        ),
        ('{"a": -Infinity,\n "a": Infinity}', b'{"a": null,  "a": null}'),
        ("null", b"null"),
    ],
)
def test_object_mode_changes_no_digit(database: str, text: str, line: bytes) -> None:
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, j text)"
        )
        cursor.execute("INSERT INTO events VALUES (1, 't', '2025-01-05', %s)", (text,))
    connection.close()
    rig = Rig(database, own_stream(json_columns={"j": JsonMode.OBJECT}))
    (document,) = rig.read(rig.plan("events", "t")).documents
    assert b'"j":' + line + b',"tenant"' in document.line
