"""Rows come back from their documents byte for byte, whatever a table can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from airflow_provider_logmigrate.core.errors import RestoreFailed
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.purge_ports import Removal
from airflow_provider_logmigrate.core.purge_scope import scope_of
from airflow_provider_logmigrate.stores.postgres.purge_tables import look_up
from airflow_provider_logmigrate.stores.postgres.restore import PostgresRestore
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from tests.integration.postgres.rig import Rig, execute, own_stream

TEXTS = (
    "",
    "\\N",
    "\\.",
    "\\\\.\n\\.",
    "null",
    'tab\t, line\n, return\r, "quoted", back\\slash, \\t and \\n spelled out',
    '{"said": "\\u4f60\\u597d \\ud83d\\ude00", "path": "C:\\\\users"}',
    "\x01 \x02 \x08 \x0b \x0c \x1f \x7f \\x41 \\101 \\u0041",
    "\\\x1f\\\\\x1f",
    "你好 😀 \u2028 \ufeff \ufffd",
    "ends in a backslash\\",
)
SCHEMA = """
CREATE TYPE mood AS ENUM ('fine', 'a "bad" one');
CREATE TABLE events (
    id text PRIMARY KEY, tenant varchar(20) NOT NULL, at timestamp NOT NULL,
    "odd, ""name""\\" text, code char(6), short varchar(12), number numeric(40, 20), free numeric,
    small smallint, big bigint, single real, double double precision, flag boolean,
    moment timestamptz, day date, span interval, bytes bytea, tags text[], doc json, docb jsonb,
    address inet, state mood, marks bit(5), counter int GENERATED ALWAYS AS IDENTITY,
    half bigint GENERATED ALWAYS AS (big / 2) STORED);
"""
ODD_ROWS = (
    "('n', 't', '2025-01-05', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
    " NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "('odd key \\ \"', 't', '2025-01-06 07:08:09.123456', '', 'ab', 'ab  ',"
    " 1.10000000000000000001, 123456789012345678901234567890.50, -32768, 9223372036854775807,"
    " '-0', 'NaN', true, 'infinity', '0044-03-15 BC', '-1 year 2 days 03:04:05.678901',"
    " '\\x00ff5c0a09', ARRAY['a,b', NULL, '\"', '\\', E'\\n', ''],"
    ' \'{"a": 1.0, "a": "\\u00e4\\n",\n "b":  []}\', \'{"b": 1.50, "a": "\\\\u0041"}\','
    " '10.0.0.1/8', 'a \"bad\" one', B'10110')",
    "('edge', 't', '2025-01-07', 'x', '\\', '\\.', -0.00000000000000000001, 'NaN', 0, -1, 1.1e-38,"
    " 5e-324, false, '2025-01-01 00:00:00+05:30', 'infinity', '0', '', '{}', 'null', '[]',"
    " '::1', 'fine', B'00000')",
)


@dataclass
class Table:
    """A table whose rows have left, with their documents."""

    dsn: str
    rig: Rig
    documents: dict[str, bytes]
    removal: Removal
    rows: dict[str, str]

    def restore(self, *, changed: Mapping[str, bytes] | None = None, meanwhile: str = "") -> int:
        """:param meanwhile: done by somebody else when the documents are first asked for."""
        found = self.documents | dict(changed or {})
        stream = self.rig.found["events"]
        looked = look_up(self.rig.sessions, ["events"])
        scope = scope_of(
            stream.shape.stream,
            copied={"events": stream.shape},
            existing=looked.facts,
            follows_content=False,
        )
        left = [meanwhile] if meanwhile else []

        def documents(table: str, keys: Sequence[str]) -> Iterator[Sequence[bytes]]:
            while left:
                execute(self.dsn, left.pop())
            assert table == "events"
            for start in range(0, len(keys), 4):
                yield [found[key] for key in keys[start : start + 4]]

        rows = {"events": RowSql(stream.shape, not_null=stream.facts.not_null)}
        source = PostgresRestore(self.rig.sessions, rows, looked)
        return source.restore(scope, self.removal, documents=documents)


def printed(dsn: str) -> dict[str, str]:
    """Every row as the database prints it."""
    return dict(execute(dsn, "SELECT id, w::text FROM events AS w"))


@pytest.fixture
def table(database: str) -> Table:
    columns = '(id, tenant, at, "odd, ""name""\\", code, short, number, free, small, big, single,'
    columns += " double, flag, moment, day, span, bytes, tags, doc, docb, address, state, marks)"
    execute(
        database,
        SCHEMA,
        *(f"INSERT INTO events {columns} VALUES {row}" for row in ODD_ROWS),
        *(
            (
                'INSERT INTO events (id, tenant, at, "odd, ""name""\\") VALUES (%s, \'t\','
                " '2025-01-08', %s)",
                (f"text {number}", text),
            )
            for number, text in enumerate(TEXTS)
        ),
    )
    rig = Rig(database, own_stream())
    documents = rig.read(rig.plan("events", "t")).by_key()
    rows = printed(database)
    assert documents.keys() == rows.keys()
    sums = sum((Bucket(1, *found.print) for found in documents.values()), EMPTY)
    execute(database, "DELETE FROM events")
    removal = Removal(
        unit="events/t/2025-01",
        transaction=0,
        keys={"events": sorted(rows)},
        sums={"events": sums},
        hours={},
        kept={},
    )
    lines = {key: found.line for key, found in documents.items()}
    return Table(database, rig, lines, removal, rows)


def test_every_type_and_every_text_comes_back(table: Table) -> None:
    assert table.restore() == len(table.rows)
    assert printed(table.dsn) == table.rows
    assert table.restore() == 0, "all of them are there"


def test_another_spelling_of_a_document_is_the_same_row(table: Table) -> None:
    """Engines and people write a document anew in their own way."""
    again = {
        key: line.replace(b"/", b"\\/").replace(b"'", b"\\u0027").replace(b":", b" : ", 1)[:-1]
        + b',"note_offloaded":"no column \\u0000","more":{"a":[1]}}'
        for key, line in table.documents.items()
    }
    assert table.restore(changed=again) == len(table.rows)
    assert printed(table.dsn) == table.rows


def test_rows_that_came_back_meanwhile_stay_as_they_are(table: Table) -> None:
    back = (
        "INSERT INTO events (id, tenant, at, counter) OVERRIDING SYSTEM VALUE"
        " VALUES ('n', 't', '2025-01-05', 1)"
    )

    assert table.restore(meanwhile=back) == len(table.rows) - 1
    assert printed(table.dsn) == table.rows


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b'{"id":"n","tenant":"x","at":"2025-01-05","counter":1}', "isn't the same"),
        (b'{"id":"n","tenant":"\\u0000","at":"2025-01-05"}', "the source refuses a row"),
        (b'{"id":"n","tenant":"\\ud800","at":"2025-01-05"}', "a document can't be read"),
        (b'{"id":"n","tenant":"t","at":"not a time"}', "the source refuses a row"),
        (b'{"id":"n","tenant":[1,\n2],"at":"2025-01-05","counter":1}', "the source refuses a row"),
        (b"[]", "a document can't be read"),
        (b"", "a document can't be read"),
    ],
)
def test_a_document_that_was_changed_brings_nothing_back(
    table: Table, document: bytes, reason: str
) -> None:
    with pytest.raises(RestoreFailed, match=reason):
        table.restore(changed={"n": document})
    assert printed(table.dsn) == {}
