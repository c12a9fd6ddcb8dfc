"""Fingerprints: no two different rows share one, and nothing but the row's values decides it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.stream import ColumnKind, StreamShape
from airflow_provider_logmigrate.core.unit import Period
from airflow_provider_logmigrate.stores.postgres.preflight import Preflight
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from airflow_provider_logmigrate.streams import dify as dify_pack
from tests.integration.postgres.conftest import SampleDatabase
from tests.integration.postgres.rig import JANUARY, Rig, execute, own_stream, utc


def prints(dsn: str, table: str = "events") -> dict[str, tuple[int, int]]:
    """Fingerprint by key of all rows of tenant t at midnight of January 5."""
    rig = Rig(dsn, own_stream(table))
    plan = rig.plan("events", "t")
    listed = list(rig.source.keys(plan, hours=[utc(2025, 1, 5)], upper=JANUARY.end))
    documents = {d.key: d.print for d in rig.read(plan).documents}
    assert {p.key: (p.high, p.low) for p in listed} == documents
    return documents


def fill(dsn: str, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(types))
    slots = ", ".join(["%s"] * len(types))
    inserts: list[str | tuple[str, Sequence[Any]]] = [
        (f"INSERT INTO events VALUES ({n}, 't', '2025-01-05', {slots})", row)
        for n, row in enumerate(rows)
    ]
    execute(
        dsn,
        f"CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, {columns})",
        *inserts,
    )


ATTACKS = (
    *(None, "", "\x1e", "\x1f", "\x1e\x1f", "\x1f\x1e", "\x1f\x1f", "a", "b", "a\x1fb"),
    *("\x1fa", "a\x1f", "0", "1", "-1", "\x1f1", "\x1f0\x1f1", "NULL", "\\x1f", "é"),
)


def test_separators_lengths_and_nulls_in_texts_forge_nothing(database: str) -> None:
    rows = list(itertools.product(ATTACKS, ATTACKS))
    fill(database, ("text", "varchar(20)"), rows)
    found = prints_of_texts(database, ("c0", "c1"))
    assert len(found) == len(rows)
    assert len(set(found)) == len(rows)


def prints_of_texts(dsn: str, columns: Sequence[str]) -> list[str]:
    """The fingerprint expression over these columns alone, for every row of ``events``."""
    shape = Rig(dsn, own_stream()).found["events"].shape
    rows = RowSql(shape, not_null=frozenset())
    rows.shape = StreamShape(shape.stream, tuple(shape.column(name) for name in columns))
    connection = psycopg2.connect(dsn)
    with connection, connection.cursor() as cursor:
        expression = rows.fingerprint.as_string(connection)
        cursor.execute(f"SELECT {expression} FROM events AS w")
        found = [row[0] for row in cursor.fetchall()]
    connection.close()
    return found


def test_texts_of_fixed_length_forge_nothing(database: str) -> None:
    values = [v for v in ATTACKS if v is not None and not v.endswith(" ")]
    rows = list(itertools.product(values, values))
    fill(database, ("char(9)", "char(9)"), rows)
    found = prints_of_texts(database, ("c0", "c1"))
    assert len(set(found)) == len(rows)


def test_three_texts_beside_other_kinds_forge_nothing(database: str) -> None:
    few = (None, "", "\x1f", "a", "a\x1f1", "\x1e")
    rows = [
        (a, n, b, o, c) for a, n, b, o, c in itertools.product(few, (None, 1), few, ("", "1"), few)
    ]
    fill(database, ("text", "int", "json", "bytea", "name"), [])
    json_text = {None: None, "": '""', "\x1f": '"\\u001f"', "a": "[1]", "a\x1f1": "1", "\x1e": "{}"}
    execute(
        database,
        *(
            (
                f"INSERT INTO events VALUES ({k}, 't', '2025-01-05', %s, %s, %s, %s, %s)",
                (a, n, json_text[b], o, c),
            )
            for k, (a, n, b, o, c) in enumerate(rows)
        ),
    )
    found = prints_of_texts(database, ("c0", "c1", "c2", "c3", "c4"))
    assert len(set(found)) == len(rows)


TYPED = {
    "u": ("uuid", "'00000000-0000-0000-0000-000000000001'", "NULL"),
    "v": ("varchar(9)", "'a'", "'a '"),
    "x": ("text", "''", "NULL"),
    "j": ("jsonb", "'{}'", "'[]'"),
    "js": ("json", "'{}'", "'{ }'"),
    "s": ("smallint", "1", "2"),
    "b": ("bigint", "1", "-1"),
    "r": ("real", "0.1", "0.10000001"),
    "d": ("double precision", "0.1", "0.10000000000000002"),
    "nan": ("double precision", "'NaN'", "'Infinity'"),
    "n": ("numeric", "1.0", "1.00"),
    "o": ("boolean", "true", "false"),
    "ts": ("timestamp", "'2025-01-01 00:00:00'", "'2025-01-01 00:00:00.000001'"),
    "tz": ("timestamptz", "'infinity'", "'-infinity'"),
    "day": ("date", "'2025-01-01'", "'2025-01-02'"),
    "y": ("bytea", r"'\x00'", r"'\x0000'"),
    "arr": ("text[]", "ARRAY['a', NULL]", "ARRAY['a', 'NULL']"),
    "e": ("mood", "'calm'", "'angry'"),
    "iv": ("interval", "'1 day'", "'24 hours'"),
    "ip": ("inet", "'10.0.0.1'", "'10.0.0.0/31'"),
    "key": ('"char"', "'a'", "'b'"),
}


def _typed_table(dsn: str, table: str, order: Sequence[str]) -> None:
    columns = ", ".join(
        {"id": "id int PRIMARY KEY", "tenant": "tenant text", "at": "at timestamp"}.get(name)
        or f'"{name}" {TYPED[name][0]}'
        for name in order
    )
    values = ", ".join(
        {"id": "1", "tenant": "'t'", "at": "'2025-01-05'"}.get(name) or TYPED[name][1]
        for name in order
    )
    execute(dsn, f"CREATE TABLE {table} ({columns})", f"INSERT INTO {table} VALUES ({values})")


def test_every_change_of_every_column_changes_the_fingerprint(database: str) -> None:
    execute(database, "CREATE TYPE mood AS ENUM ('calm', 'angry')")
    _typed_table(database, "events", ("id", "tenant", "at", *TYPED))
    before = prints(database)["1"]
    seen = {before}
    for name, (_, old, new) in TYPED.items():
        execute(database, f'UPDATE events SET "{name}" = {new}')
        changed = prints(database)["1"]
        assert changed not in seen, name
        seen.add(changed)
        execute(database, f'UPDATE events SET "{name}" = {old}')
    assert prints(database)["1"] == before


def defined(shape: StreamShape) -> str:
    """The fingerprint as it is defined, spelled out; stored documents have its values."""
    values = [f"""coalesce(w."{c.name}"::text, E'\\x1e')""" for c in shape.columns]
    lengths = []
    for column in shape.columns:
        if column.variable:
            by_cast = column.kind is ColumnKind.OTHER or column.source_type in (
                *("json", "jsonb", "character"),
            )
            name = f'w."{column.name}"' + ("::text" if by_cast else "")
            lengths.append(f"coalesce(octet_length({name}), -1)")
    parts = [*values, *lengths]
    groups = [", ".join(parts[at : at + 50]) for at in range(0, len(parts), 50)]
    joined = ", ".join(f"concat_ws(E'\\x1f', {group})" for group in groups)
    return f"md5(concat_ws(E'\\x1f', {joined}))"


def assert_as_defined(dsn: str, found: Preflight) -> None:
    """Every row's expression gives what the definition gives."""
    rows = RowSql(found.shape, not_null=found.facts.not_null)
    connection = psycopg2.connect(dsn)
    with connection, connection.cursor() as cursor:
        expression = rows.fingerprint.as_string(connection)
        cursor.execute(
            f"SELECT count(*), count(*) FILTER (WHERE {expression} = {defined(found.shape)})"
            f" FROM {rows.stream.table} AS w"
        )
        counted = cursor.fetchone()
    connection.close()
    assert counted is not None
    assert counted[0] == counted[1] > 0


@pytest.mark.parametrize("constraint", ["", "NOT NULL"])
def test_the_value_is_the_defined_one_whatever_the_expression(
    database: str, constraint: str
) -> None:
    execute(database, "CREATE TYPE mood AS ENUM ('calm', 'angry')")
    _typed_table(database, "events", ("id", "tenant", "at", *TYPED))
    names = [name for name, (_, _, new) in TYPED.items() if not (constraint and new == "NULL")]
    execute(
        database,
        "INSERT INTO events SELECT 2, 't', '2025-01-05', "
        + ", ".join(f"{new if name in names else old}" for name, (_, old, new) in TYPED.items()),
    )
    if constraint:
        execute(
            database,
            *(f'ALTER TABLE events ALTER COLUMN "{name}" SET NOT NULL' for name in TYPED),
        )
    else:
        execute(database, "INSERT INTO events (id, tenant, at) VALUES (3, 't', '2025-01-05')")
    found = Rig(database, own_stream()).found["events"]
    assert (set(TYPED) <= found.facts.not_null) == bool(constraint)
    assert_as_defined(database, found)
    assert len(set(prints(database).values())) == (2 if constraint else 3)


def test_the_value_is_the_defined_one_for_every_row_of_the_pack(dify: SampleDatabase) -> None:
    for found in Rig(dify.dsn, *dify_pack.streams()).found.values():
        assert_as_defined(dify.dsn, found)


def test_a_promise_of_not_null_that_old_rows_break_is_not_believed(database: str) -> None:
    execute(
        database,
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, u uuid, x text)",
        "INSERT INTO events VALUES (1, 't', '2025-01-05', NULL, NULL)",
        "ALTER TABLE events ADD CONSTRAINT u_there NOT NULL u NOT VALID",
        "ALTER TABLE events ADD CONSTRAINT x_there NOT NULL x NOT VALID",
    )
    rig = Rig(database, own_stream())
    assert rig.found["events"].facts.not_null == {"id"}
    assert_as_defined(database, rig.found["events"])
    (document,) = rig.read(rig.plan("events", "t")).documents
    assert (document.source["u"], document.source["x"]) == (None, None)
    execute(
        database,
        "UPDATE events SET u = '00000000-0000-0000-0000-000000000001', x = ''",
        "ALTER TABLE events VALIDATE CONSTRAINT u_there",
        "ALTER TABLE events VALIDATE CONSTRAINT x_there",
    )
    assert Rig(database, own_stream()).found["events"].facts.not_null == {"id", "u", "x"}


def test_the_order_of_columns_in_the_table_does_not_matter(database: str) -> None:
    execute(database, "CREATE TYPE mood AS ENUM ('calm', 'angry')")
    names = ("id", "tenant", "at", *TYPED)
    _typed_table(database, "events", names)
    _typed_table(database, "mirrored", names[::-1])
    assert prints(database) == prints(database, "mirrored")


def test_a_table_of_many_columns(database: str) -> None:
    columns = ", ".join(f"c{n:03} {'text' if n % 2 else 'int'}" for n in range(350))
    execute(
        database,
        f"CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, {columns})",
        "INSERT INTO events (id, tenant, at, c001, c349) VALUES (1, 't', '2025-01-05', 'x', NULL),"
        " (2, 't', '2025-01-05', NULL, 'x')",
    )
    found = prints(database)
    assert found["1"] != found["2"]
    rig = Rig(database, own_stream())
    documents = rig.read(rig.plan("events", "t")).by_key()
    assert len(documents["1"].source) == 354
    assert documents["1"].source["c001"] == "x"
    assert documents["2"].source["c349"] == "x"


def test_sums_keys_and_documents_agree_everywhere(dify: SampleDatabase) -> None:
    rig = Rig(dify.dsn, *dify_pack.streams())
    for table, tenant, month in dify.counts.units:
        if table not in rig.found:
            continue
        plan = rig.plan(table, tenant, Period.from_label(month))
        documents = rig.read(plan).documents
        summary = rig.source.summarise(plan, upper=plan.unit.period.end)
        assert summary.total.count == len(documents)
        assert summary.total.high == sum(d.print[0] for d in documents)
        assert summary.total.low == sum(d.print[1] for d in documents)
        assert all(0 <= half < 2**32 for d in documents for half in d.print)
        at = rig.found[table].shape.stream.event_time
        hours = [hour.isoformat()[:13] for hour in summary.buckets]
        assert set(hours) == {d.source[at][:13] for d in documents}


def test_hours_listed_key_by_key_add_up(new_dify: SampleDatabase) -> None:
    rig = Rig(new_dify.dsn, *dify_pack.streams())
    plan = rig.plan("workflow_runs", new_dify.tenant)
    summary = rig.source.summarise(plan, upper=JANUARY.end)
    documents = {d.key: d.print for d in rig.read(plan).documents}
    for hour in [*summary.buckets][::4]:
        listed = list(rig.source.keys(plan, hours=[hour], upper=JANUARY.end))
        assert [p.key for p in listed] == sorted(p.key for p in listed)
        total = Bucket(len(listed), sum(p.high for p in listed), sum(p.low for p in listed))
        assert total == summary.buckets[hour]
        assert all(documents[p.key] == (p.high, p.low) for p in listed)
    later = max(summary.buckets) + timedelta(days=99)
    assert not list(rig.source.keys(plan, hours=[later], upper=later))


def test_keys_come_in_byte_order(database: str) -> None:
    execute(
        database,
        "CREATE TABLE events (id text PRIMARY KEY, tenant text, at timestamp)",
        "INSERT INTO events SELECT k, 't', '2025-01-05' FROM"
        " unnest(ARRAY['a', 'B', 'b', 'A', 'ä', 'z', 'Z', '_', '-', '10', '9', '😀', '\uffee']) k",
    )
    rig = Rig(database, own_stream(), page_rows=2)
    plan = rig.plan("events", "t")
    keys = [p.key for p in rig.source.keys(plan, hours=[utc(2025, 1, 5)], upper=JANUARY.end)]
    assert len(keys) == 13
    assert keys == sorted(keys, key=str.encode)
    assert set(rig.read(plan).by_key()) == set(keys)
