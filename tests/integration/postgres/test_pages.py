"""The statements that read rows: which way the server goes, and what it does only once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg2 import sql

from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.ports import TimeRange
from airflow_provider_logmigrate.core.stream import JsonMode, SettledBy, SettledWithParent
from airflow_provider_logmigrate.stores.postgres.row_query import page_query, row_condition
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from airflow_provider_logmigrate.stores.postgres.session import PAGE_PLAN
from tests.integration.postgres.rig import JANUARY, Rig, execute, own_stream

RULE = SettledWithParent(
    foreign_key="run",
    parent_table="runs",
    parent_key="id",
    parent=SettledBy("status", ("done",)),
    own=SettledBy("status", ("done",)),
)
ROWS = (
    "CREATE TABLE runs (id int PRIMARY KEY, status text)",
    "INSERT INTO runs SELECT n, CASE WHEN n % 3 = 0 THEN 'running' ELSE 'done' END"
    " FROM generate_series(1, 500) AS n",
    "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, run int, status text,"
    " t text, v varchar, c char(3), j jsonb, a int[])",
    "INSERT INTO events SELECT n, 't', timestamp '2025-01-02' + n * interval '1 second',"
    " CASE WHEN n % 10 > 0 THEN n / 10 END, CASE WHEN n % 20 = 0 THEN 'done' END,"
    " repeat('long ', n % 3 * 400), n::text, 'x', jsonb_build_object('n', n), ARRAY[n]"
    " FROM generate_series(1, 6000) AS n",
)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def explained(rig: Rig, query: sql.Composable) -> list[dict[str, Any]]:
    with rig.sessions.open(PAGE_PLAN) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("EXPLAIN (FORMAT JSON) {}").format(query))
        answer = cursor.fetchone()
    assert answer is not None
    return list(nodes(answer[0][0]["Plan"]))


@pytest.mark.parametrize("index", ["(tenant, at, id)", "(at, id)", "(at)"])
def test_a_page_follows_its_index_and_looks_parents_up_by_their_key(
    database: str, index: str
) -> None:
    execute(database, *ROWS, f"CREATE INDEX by_time ON events {index}", "ANALYZE")
    rig = Rig(database, own_stream(settled=RULE))
    rows = RowSql(rig.found["events"].shape, not_null=rig.found["events"].facts.not_null)
    condition = row_condition(rows, "t", TimeRange(JANUARY.start, JANUARY.end), None)
    found = explained(rig, page_query(rows, condition, limit=100))
    kinds = {node["Node Type"] for node in found}
    assert not kinds & {"Sort", "Seq Scan", "Hash Join", "Merge Join"}
    assert ("Incremental Sort" in kinds) == (index == "(at)")
    used = {node["Index Name"] for node in found if "Index Name" in node}
    assert used == {"by_time", "runs_pkey"}


@pytest.mark.parametrize("strategy", [ReadStrategy.KEYSET, ReadStrategy.BY_KEY])
def test_the_settled_rule_is_the_same_in_both_forms(database: str, strategy: ReadStrategy) -> None:
    execute(database, *ROWS, "CREATE INDEX ON events (tenant, at, id)")
    rig = Rig(database, own_stream(settled=RULE), page_rows=700)
    rows = RowSql(rig.found["events"].shape, not_null=frozenset())
    with rig.sessions.open() as connection, connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT w.id::text FROM {} WHERE {} ORDER BY w.at, w.id").format(
                rows.table, rows.settled
            )
        )
        wanted = [key for (key,) in cursor.fetchall()]
    assert 0 < len(wanted) < 6000
    plan = rig.plan("events", "t", strategy=strategy)
    assert rig.read(plan).keys == wanted
    summary = rig.source.summarise(plan, upper=JANUARY.end)
    assert (summary.total.count, summary.held_back) == (len(wanted), 6000 - len(wanted))


@pytest.mark.parametrize("mode", [JsonMode.TEXT, JsonMode.OBJECT])
def test_unpacked_values_are_the_values(database: str, mode: JsonMode) -> None:
    execute(database, *ROWS)
    rig = Rig(database, own_stream(json_columns={"j": mode}))
    wanted = execute(database, "SELECT id, t, v, c::text, j::text, a::text FROM events")
    documents = rig.read(rig.plan("events", "t")).by_key()
    for key, t, v, c, j, a in wanted:
        source = documents[str(key)].source
        assert (source["t"], source["v"], source["c"], source["a"]) == (t, v, c, a)
        assert source["j"] == (j if mode is JsonMode.TEXT else {"n": key})


WORDS = (None, "null", "NULL", '"null"', "", "\x01", "\x02", "\x01null\x01", "a\x02b", "\n", "\r\n")
LETTERS = ("\\", "\\.", '"', "\t\x1f\x7f", "\\u0000", "é€😀", "\u2028", "null\x02null", "x" * 9_000)


@pytest.mark.parametrize("kind", ["text", "varchar", "json"])
def test_raw_texts_arrive_beside_each_other(database: str, kind: str) -> None:
    texts = (*WORDS, *LETTERS)
    columns = "text" if kind == "json" else kind
    execute(
        database,
        f"CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, a {columns},"
        f" b {columns}, n int)",
        *(
            ("INSERT INTO events VALUES (%s, 't', '2025-01-05', %s, %s, NULL)", (n, a, b))
            for n, (a, b) in enumerate((a, b) for a in texts for b in texts)
        ),
    )
    modes = dict.fromkeys(("a", "b"), JsonMode.TEXT) if kind == "json" else {}
    rig = Rig(database, own_stream(json_columns=modes))
    found = [(d.source["a"], d.source["b"]) for d in rig.read(rig.plan("events", "t")).documents]
    assert found == [(a, b) for a in texts for b in texts]


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_rows_without_a_usable_time_are_told_where_an_index_finds_them(
    database: str, kind: str
) -> None:
    execute(
        database,
        f"CREATE TABLE events (id int PRIMARY KEY, tenant text, at {kind})",
        "INSERT INTO events VALUES (1, 't', NULL), (2, 't', 'infinity'), (3, 't', '-infinity'),"
        " (4, 't', '2025-01-05'), (5, 'other', NULL), (6, 'third', 'infinity')",
    )
    rig = Rig(database, own_stream())
    assert rig.source.survey_all("events", ["t"], [JANUARY]).note == ""  # it would be a scan
    execute(database, "CREATE INDEX ON events (tenant, at, id)")
    rig = Rig(database, own_stream())
    note = rig.source.survey_all("events", ["t", "other", "nobody"], [JANUARY]).note
    assert "events: 4 row(s) have NULL or infinity as at" in note
    assert rig.source.survey_all("events", ["nobody"], [JANUARY]).note == ""
