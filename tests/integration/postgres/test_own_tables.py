"""Tables that users declare themselves: every type of column, every type of key."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.ports import TimeRange
from airflow_provider_logmigrate.core.stream import ColumnKind, JsonMode
from tests.integration.postgres.rig import JANUARY, Rig, execute, own_stream, utc

_EXACT = (ReadStrategy.KEYSET, ReadStrategy.BY_KEY)
KINDS: tuple[tuple[str, str, ColumnKind, Any], ...] = (
    ("uuid", "'A0000000-0000-0000-0000-00000000000B'", ColumnKind.UUID, "a" + "0" * 7),
    ("varchar(9)", "'grün '", ColumnKind.KEYWORD, "grün "),
    ("char(9)", "'ab'", ColumnKind.KEYWORD, "ab"),
    ("name", "'n'", ColumnKind.KEYWORD, "n"),
    ("text", "E'a\\x01b\\nc'", ColumnKind.TEXT, "a\x01b\nc"),
    ("json", """'{"a":  1.10, "a": 2}'""", ColumnKind.JSON, '{"a":  1.10, "a": 2}'),
    ("jsonb", """'{"b": 1.10, "a": "\x7f"}'""", ColumnKind.JSON, '{"a": "\x7f", "b": 1.10}'),
    ("smallint", "-32768", ColumnKind.INTEGER, -32768),
    ("bigint", "9223372036854775807", ColumnKind.INTEGER, 2**63 - 1),
    ("real", "0.1", ColumnKind.FLOAT, 0.1),
    ("double precision", "1e308", ColumnKind.FLOAT, 1e308),
    ("double precision", "'NaN'", ColumnKind.FLOAT, "NaN"),
    ("real", "'-Infinity'", ColumnKind.FLOAT, "-Infinity"),
    ("numeric(20,4)", "123.4500", ColumnKind.DECIMAL, 123.45),
    ("numeric", "'NaN'", ColumnKind.DECIMAL, "NaN"),
    ("boolean", "true", ColumnKind.BOOLEAN, True),
    ("timestamp", "'12025-01-15 10:20:30.1'", ColumnKind.TIMESTAMP, "12025-01-15T10:20:30.1+00:00"),
    ("timestamp", "'infinity'", ColumnKind.TIMESTAMP, "infinity"),
    ("timestamptz", "'2025-01-01 08:00+08'", ColumnKind.TIMESTAMP_TZ, "2025-01-01T00:00:00+00:00"),
    (
        "timestamptz",
        "'0044-03-15 12:00+00 BC'",
        ColumnKind.TIMESTAMP_TZ,
        "0044-03-15T12:00:00+00:00 BC",
    ),
    ("date", "'2025-01-02'", ColumnKind.OTHER, "2025-01-02"),
    ("time", "'24:00'", ColumnKind.OTHER, "24:00:00"),
    ("interval", "'-1 day 2 h'", ColumnKind.OTHER, "-1 days +02:00:00"),
    ("bytea", r"'\x0001ff'", ColumnKind.OTHER, r"\x0001ff"),
    (
        "text[]",
        """ARRAY['a"', NULL, 'null', E'\\x02']""",
        ColumnKind.OTHER,
        '{"a\\"",NULL,"null",\x02}',
    ),
    ("int[][]", "'{{1,2},{3,4}}'", ColumnKind.OTHER, "{{1,2},{3,4}}"),
    ("mood", "'very \"calm\"'", ColumnKind.OTHER, 'very "calm"'),
    ("short_text", "'domain'", ColumnKind.OTHER, "domain"),
    ("pair", "ROW(1, 'x,\"y')", ColumnKind.OTHER, '(1,"x,""y")'),
    ("inet", "'10.0.0.1'", ColumnKind.OTHER, "10.0.0.1/32"),
    ("int4range", "'[1,5)'", ColumnKind.OTHER, "[1,5)"),
    ("bit(3)", "'101'", ColumnKind.OTHER, "101"),
    ('"char"', "'c'", ColumnKind.OTHER, "c"),
    ("tsvector", "'a b'", ColumnKind.OTHER, "'a' 'b'"),
)


def test_every_type_of_column_arrives(database: str) -> None:
    names = [f"c{n:02}" for n in range(len(KINDS))]
    columns = ", ".join(f"{name} {kind[0]}" for name, kind in zip(names, KINDS, strict=True))
    execute(
        database,
        "CREATE TYPE mood AS ENUM ('very \"calm\"')",
        "CREATE DOMAIN short_text AS text CHECK (length(value) < 9)",
        "CREATE TYPE pair AS (n int, t text)",
        f"CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, {columns})",
        "INSERT INTO events VALUES (1, 't', '2025-01-05', " + ", ".join(k[1] for k in KINDS) + ")",
        "INSERT INTO events VALUES (2, 't', '2025-01-05')",
    )
    rig = Rig(database, own_stream())
    plan = rig.plan("events", "t")
    documents = rig.read(plan).by_key()
    shape = rig.found["events"].shape
    for name, (type_, _, kind, value) in zip(names, KINDS, strict=True):
        assert shape.column(name).kind is kind, type_
        found = documents["1"].source[name]
        assert found == value or (type_ == "uuid" and found.startswith(value)), type_
        assert type(found) is type(value), type_
        assert documents["2"].source[name] is None, type_
    rows = dict(rig.source.rows(plan, ["1", "2"]))
    for key, document in documents.items():
        assert list(RowComparer(shape).differences(rows[key], document.source)) == []
    assert b'"c13":123.4500' in documents["1"].line
    assert rig.source.summarise(plan, upper=JANUARY.end).total.count == 2


@pytest.mark.parametrize("mode", [JsonMode.OBJECT, JsonMode.FLAT_OBJECT])
def test_native_json_columns_as_objects(database: str, mode: JsonMode) -> None:
    execute(
        database,
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, j json, b jsonb)",
        r"""INSERT INTO events VALUES
        (1, 't', '2025-01-05', '{"a":
            [1, 2.50]}', '{"x": {"y": 123456789012345678901234567890}}'),
        (2, 't', '2025-01-05', 'null', 'null'), (3, 't', '2025-01-05', NULL, NULL),
        (4, 't', '2025-01-05', '"half \ud800"', '1')""",
    )
    rig = Rig(database, own_stream(json_columns={"j": mode, "b": mode}))
    plan = rig.plan("events", "t")
    reading = rig.read(plan)
    found = {key: (d.source["j"], d.source["b"]) for key, d in reading.by_key().items()}
    assert found == {
        "1": ({"a": [1, 2.5]}, {"x": {"y": 123456789012345678901234567890}}),
        "2": (None, None),
        "3": (None, None),
        "4": ({"_raw": r'"half \ud800"'}, 1),
    }
    assert [(f.kind, f.key) for f in reading.findings] == [("json_repaired", "4")]


KEYS: tuple[tuple[str, str], ...] = (
    ("bigint", "n * 1000000000000"),
    ("smallint", "n"),
    ("text", "'k\"' || n || E'\\x01\\n\\\\'"),
    ("varchar(20)", "CASE n WHEN 1 THEN '' WHEN 2 THEN 'null' ELSE 'é' || n END"),
    ("char(20)", "'k' || n"),
    ("numeric", "n + 0.50"),
    ("uuid", "('00000000-0000-0000-0000-0000000000' || lpad(n::text, 2, '0'))::uuid"),
    ("bytea", "decode(lpad(n::text, 2, '0'), 'hex')"),
    ("timestamp", "'2025-01-01'::timestamp + n * '1.5 s'::interval"),
)


@pytest.mark.parametrize(("kind", "value"), KEYS)
def test_every_type_of_key_and_tenant_is_followed(database: str, kind: str, value: str) -> None:
    """A cast to a bare ``character`` would cut keys and tenants to one letter."""
    execute(
        database,
        f"CREATE TABLE events (id {kind} PRIMARY KEY, tenant {kind}, at timestamp)",
        f"INSERT INTO events SELECT {value}, (SELECT {value} FROM (VALUES (7)) AS v(n)),"
        " '2025-01-05'::timestamp + n / 3 * '1 s'::interval FROM generate_series(1, 20) n",
    )
    ((tenant,),) = execute(database, "SELECT DISTINCT tenant::text FROM events")
    for strategy in _EXACT:
        rig = Rig(database, own_stream(), forced=strategy, page_rows=4, chunk_bytes=500)
        plan = rig.plan("events", tenant)
        whole = rig.read(plan)
        assert len(whole.by_key()) == 20
        assert rig.source.has_tenant("events", tenant)
        assert len(list(rig.source.rows(plan, whole.keys))) == 20
        assert {k for k, _ in rig.source.rows(plan, whole.keys)} == set(whole.keys)
        listed = rig.source.keys(plan, hours=[utc(2025, 1, 5)], upper=JANUARY.end)
        assert {p.key for p in listed} == set(whole.keys)
        middle = whole.chunks[len(whole.chunks) // 2]
        rest = rig.read(plan, after=middle.cursor).keys
        done = [k for c in whole.chunks[: middle.sequence + 1] for k in c.keys]
        assert sorted(done + rest) == sorted(whole.keys)


def test_the_event_time_may_have_a_zone(database: str) -> None:
    execute(
        database,
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamptz)",
        "CREATE INDEX ON events (tenant, at, id)",
        "INSERT INTO events VALUES (1, 't', '2025-01-01 07:59:59.999999+08'),"
        " (2, 't', '2025-01-01 08:00+08'), (3, 't', '2025-01-31 23:59:59.999999+00'),"
        " (4, 't', '2025-01-31 18:00-06')",
    )
    rig = Rig(database, own_stream(), page_rows=1)
    plan = rig.plan("events", "t")
    assert plan.strategy is ReadStrategy.KEYSET
    reading = rig.read(plan)
    assert reading.keys == ["2", "3"]
    assert rig.source.summarise(plan, upper=JANUARY.end).total.count == 2
    hour = TimeRange(utc(2025, 1, 31, 23), utc(2025, 2, 1))
    assert rig.read(plan, ranges=[hour], repair=True).keys == ["3"]
