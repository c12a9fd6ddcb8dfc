from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from devstack.errors import DevstackError
from devstack.sampledata import (
    COLUMNS,
    PROFILES,
    STREAM_TABLES,
    DifySchema,
    UnitCount,
    Value,
    create_schema,
    expected,
    rows,
)
from devstack.sampledata.load import load

TEST = PROFILES["test"]
SMALL = replace(TEST, hostile_rows=False, runs_per_month=4)
REPOSITORY = Path(__file__).parents[3]
SCHEMAS = pytest.mark.parametrize("schema", list(DifySchema))

_RUN_ENDED = """EXISTS (SELECT FROM workflow_runs r WHERE r.id = {run} AND r.status IN
    ('succeeded', 'failed', 'partial-succeeded', 'stopped'))"""
SETTLED = {
    "workflow_runs": _RUN_ENDED.format(run="t.id"),
    "workflow_app_logs": _RUN_ENDED.format(run="t.workflow_run_id"),
    "workflow_node_executions": "CASE WHEN t.workflow_run_id IS NULL THEN t.status IN"
    " ('succeeded', 'failed', 'exception', 'stopped') ELSE"
    f" {_RUN_ENDED.format(run='t.workflow_run_id')} END",
    "workflow_node_execution_offload": "t.node_execution_id IS NULL OR EXISTS (SELECT FROM"
    " workflow_node_executions n WHERE n.id = t.node_execution_id AND"
    f" {_RUN_ENDED.format(run='n.workflow_run_id')})",
}


@pytest.fixture
def query(database: str) -> Iterator[Any]:
    with closing(psycopg2.connect(database)) as conn:
        conn.autocommit = True

        def run(sql: str) -> list[tuple[Any, ...]]:
            with conn.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()

        yield run


def as_printed(value: Value) -> str | None:
    """A generated value as PostgreSQL prints it."""
    if value is None or not isinstance(value, str):
        return None if value is None else str(value)
    is_time = value[:4].isdigit() and value[4:5] == "-" and value[10:11] == " " and "." in value
    return value.rstrip("0").rstrip(".") if is_time else value


def as_stored(columns: tuple[str, ...], row: tuple[Value, ...]) -> dict[str, object]:
    stored: dict[str, object] = {c: as_printed(v) for c, v in zip(columns, row, strict=True)}
    if stored.get("elapsed_time") is not None:
        stored["elapsed_time"] = repr(float(str(stored["elapsed_time"])))
    return stored


@SCHEMAS
def test_every_value_arrives_as_generated(
    database: str, query: Any, tmp_path: Path, schema: DifySchema
) -> None:
    load(database, TEST, schema, tmp_path)
    for table, columns in COLUMNS[schema].items():
        names = ", ".join(f'"{column}"::text' for column in columns)
        found = {row[0]: as_stored(columns, row) for row in query(f"SELECT {names} FROM {table}")}
        wanted = {str(row[0]): as_stored(columns, row) for row in rows(TEST, schema, table)}
        assert found == wanted, table


@SCHEMAS
def test_the_summary_agrees_with_the_database(
    database: str, query: Any, tmp_path: Path, schema: DifySchema
) -> None:
    seen: list[tuple[int, int]] = []
    summary = load(database, TEST, schema, tmp_path, lambda done, total: seen.append((done, total)))
    assert summary.counts == expected(TEST, schema)
    assert summary.counts.unsettled > 0
    assert seen[-1] == (sum(summary.counts.rows.values()),) * 2
    units = {}
    for table in STREAM_TABLES:
        if table not in COLUMNS[schema]:
            continue
        assert query(f"SELECT count(*) FROM {table}") == [(summary.counts.rows[table],)]
        for tenant, month, settled, unsettled in query(
            f"SELECT tenant_id::text, to_char(created_at, 'YYYY-MM'), count(*) FILTER (WHERE s),"
            f" count(*) FILTER (WHERE NOT s) FROM (SELECT t.*, {SETTLED[table]} AS s"
            f" FROM {table} t) x GROUP BY 1, 2"
        ):
            units[table, tenant, month] = UnitCount(settled, unsettled)
    assert units == dict(summary.counts.units)


@SCHEMAS
def test_indexes_are_those_of_the_variant(
    database: str, query: Any, tmp_path: Path, schema: DifySchema
) -> None:
    load(database, SMALL, schema, tmp_path)
    leading = {
        (table, column)
        for table, column in query(
            "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'"
        )
    }
    assert (("workflow_runs", "created_at") in leading) == (schema is DifySchema.NEW)
    assert (("workflow_node_executions", "workflow_run_id") in leading) == (
        schema is DifySchema.NEW
    )
    assert ("workflow_node_executions", "created_at") not in leading
    assert ("workflow_app_logs", "created_at") not in leading


@SCHEMAS
def test_the_planner_has_statistics(
    database: str, query: Any, tmp_path: Path, schema: DifySchema
) -> None:
    counts = load(database, SMALL, schema, tmp_path).counts
    found = dict(query("SELECT relname, reltuples::bigint FROM pg_class WHERE relkind = 'r'"))
    for table in COLUMNS[schema]:
        assert found[table] == counts.rows[table]


def test_offloaded_content_lies_where_upload_files_says(
    database: str, query: Any, tmp_path: Path
) -> None:
    profile = replace(SMALL, missing_files=1)
    summary = load(database, profile, DifySchema.NEW, tmp_path)
    (missing,) = summary.counts.missing_files
    found = query(
        "SELECT f.key, f.size FROM workflow_node_execution_offload o"
        " JOIN upload_files f ON f.id = o.file_id AND f.tenant_id = o.tenant_id"
    )
    assert {key for key, _ in found} == {*summary.counts.files, missing}
    for key, size in found:
        if key == missing:
            assert not (tmp_path / key).exists()
        else:
            content = (tmp_path / key).read_bytes()
            assert len(content) == size
            assert json.loads(content)["text"]


@SCHEMAS
def test_a_prepared_schema_is_filled(
    database: str, query: Any, tmp_path: Path, schema: DifySchema
) -> None:
    with closing(psycopg2.connect(database)) as conn:
        create_schema(conn, schema)
        with pytest.raises(psycopg2.errors.DuplicateTable):
            create_schema(conn, schema)
    before = query("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
    counts = load(database, SMALL, schema, tmp_path).counts
    assert query("SELECT count(*) FROM workflow_runs") == [(counts.rows["workflow_runs"],)]
    after = query("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
    assert after == before


def test_a_failed_load_leaves_the_database_as_it_was(
    database: str, query: Any, tmp_path: Path
) -> None:
    counts = load(database, SMALL, DifySchema.NEW, tmp_path).counts
    later = replace(SMALL, runs_per_month=5)  # the same first ids again, and more rows
    with pytest.raises(psycopg2.errors.UniqueViolation):
        load(database, later, DifySchema.NEW, tmp_path)
    for table in STREAM_TABLES:
        assert query(f"SELECT count(*) FROM {table}") == [(counts.rows[table],)]


def test_a_database_with_other_tables_is_refused(database: str, query: Any, tmp_path: Path) -> None:
    with closing(psycopg2.connect(database)) as conn, conn, conn.cursor() as cursor:
        cursor.execute("CREATE TABLE messages (id uuid)")
    with pytest.raises(DevstackError, match="has the tables messages but not"):
        load(database, SMALL, DifySchema.NEW, tmp_path)
    assert query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [("messages",)]
    assert list(tmp_path.iterdir()) == []


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devstack.sampledata", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": "random"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_loads_a_profile(database: str, query: Any, tmp_path: Path) -> None:
    done = command(
        *("--dsn", database, "--profile", "test", "--schema", "old", "--files", str(tmp_path)),
        *("--seed", "5", "--tenants", "3", "--months", "1", "--scale", "0.5"),
    )
    assert done.returncode == 0, done.stderr
    profile = replace(
        TEST, seed=5, tenants=3, months=1, runs_per_month=round(TEST.runs_per_month * 0.5)
    )
    counts = expected(profile, DifySchema.OLD)
    assert f"{counts.stream_rows:,} rows of 3 streams" in done.stdout
    for tenant in profile.tenant_ids:
        assert tenant in done.stdout
    assert query("SELECT count(*) FROM workflow_runs") == [(counts.rows["workflow_runs"],)]


def test_the_command_says_why_it_failed(tmp_path: Path) -> None:
    unreachable = "postgresql://nobody@127.0.0.1:1/nothing"
    done = command("--dsn", unreachable, "--profile", "test", "--files", str(tmp_path))
    assert done.returncode == 1
    assert "sample data 'test' not loaded" in done.stderr
    wrong = command("--dsn", unreachable, "--months", "0", "--files", str(tmp_path))
    assert wrong.returncode == 2
    assert "months=0" in wrong.stderr
