from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from devstack.sampledata import (
    COLUMNS,
    FULL_TEXT_PHRASE,
    HOSTILE_VALUES,
    PROFILES,
    STREAM_TABLES,
    Bundle,
    DifySchema,
    Profile,
    Value,
    expected,
    generate,
    rows,
)
from devstack.sampledata.load import copy_line
from devstack.sampledata.offload import DIFY_THRESHOLD

NEW = DifySchema.NEW
TEST = PROFILES["test"]
PLAIN = replace(TEST, hostile_rows=False, runs_per_month=120, offloaded=3)
REPOSITORY = Path(__file__).parents[3]

RUN_STATUSES = {
    *("running", "succeeded", "failed", "stopped", "partial-succeeded", "paused", "scheduled"),
}
NODE_STATUSES = {
    *("pending", "running", "succeeded", "failed", "exception", "stopped", "paused", "retry"),
}
JSON_COLUMNS = ("graph", "inputs", "process_data", "outputs", "execution_metadata")


def named(table: str, row: tuple[Value, ...], schema: DifySchema = NEW) -> dict[str, Value]:
    return dict(zip(COLUMNS[schema][table], row, strict=True))


def table_of(profile: Profile, table: str, schema: DifySchema = NEW) -> list[dict[str, Value]]:
    return [named(table, row, schema) for row in rows(profile, schema, table)]


def moment(value: Value) -> datetime:
    return datetime.fromisoformat(str(value))


def digest(profile: Profile, schema: DifySchema) -> str:
    sha = hashlib.sha256()
    for bundle in generate(profile, schema):
        for table, table_rows in bundle.rows.items():
            for row in table_rows:
                sha.update(f"{table}\t{copy_line(row)}".encode())
        for file in bundle.files:
            sha.update(file.key.encode() + (file.content or b"missing"))
    return sha.hexdigest()


@pytest.fixture(scope="module")
def plain() -> list[Bundle]:
    return list(generate(PLAIN, NEW))


@pytest.mark.parametrize("schema", list(DifySchema))
def test_a_profile_gives_the_same_bytes_in_every_process(schema: DifySchema) -> None:
    script = (
        "from tests.unit.devstack.test_sampledata import *;"
        f"print(digest(TEST, DifySchema({schema.value!r})))"
    )
    found = {digest(TEST, schema), digest(TEST, schema)}
    for hash_seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout.strip())
    assert len(found) == 1


def test_another_seed_gives_other_data_of_the_same_kind() -> None:
    other = replace(TEST, seed=7)
    assert digest(other, NEW) != digest(TEST, NEW)
    assert not set(other.tenant_ids) & set(TEST.tenant_ids)
    assert expected(other, NEW).rows["workflow_runs"] == expected(TEST, NEW).rows["workflow_runs"]


def test_tenant_ids_are_known_without_generating() -> None:
    assert {bundle.tenant_id for bundle in generate(TEST, NEW)} == set(TEST.tenant_ids)
    assert replace(TEST, tenants=5).tenant_ids[:2] == TEST.tenant_ids


@pytest.mark.parametrize("table", ["workflow_runs", "workflow_app_logs", "messages"])
def test_both_schemas_hold_the_same_rows(table: str) -> None:
    common = set(COLUMNS[NEW][table]) & set(COLUMNS[DifySchema.OLD][table])
    old, new = (
        [{name: row[name] for name in common} for row in table_of(TEST, table, schema)]
        for schema in (DifySchema.OLD, NEW)
    )
    assert old == new


def test_the_old_schema_keeps_in_the_row_what_the_new_one_offloads() -> None:
    old = {row["id"]: row for row in table_of(TEST, "workflow_node_executions", DifySchema.OLD)}
    new = {row["id"]: row for row in table_of(TEST, "workflow_node_executions")}
    offloaded = {
        (row["node_execution_id"], str(row["type"]))
        for row in table_of(TEST, "workflow_node_execution_offload")
        if row["node_execution_id"] is not None
    }
    different = {
        (key, column)
        for key, row in new.items()
        for column, value in row.items()
        if value != old[key][column]
    }
    assert offloaded
    assert different == {(key, column) for key, column in offloaded if new[key][column] is not None}


def test_old_runs_are_numbered_within_their_app() -> None:
    numbers: dict[Value, list[Value]] = defaultdict(list)
    for row in table_of(TEST, "workflow_runs", DifySchema.OLD):
        numbers[row["app_id"]].append(row["sequence_number"])
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))


def test_values_are_those_of_dify(plain: list[Bundle]) -> None:
    found: dict[tuple[str, str], set[Value]] = defaultdict(set)
    for bundle in plain:
        for table, table_rows in bundle.rows.items():
            for row in table_rows:
                for column, value in named(table, row).items():
                    if column in ("status", "type", "triggered_from", "created_from"):
                        found[table, column].add(value)
    runs, nodes = "workflow_runs", "workflow_node_executions"
    assert found[runs, "status"] == RUN_STATUSES
    assert found[nodes, "status"] == NODE_STATUSES
    assert found[runs, "type"] == {"workflow", "chat", "rag-pipeline"}
    assert found[runs, "triggered_from"] == {
        *("debugging", "app-run", "rag-pipeline-run", "rag-pipeline-debugging"),
        *("webhook", "schedule", "plugin"),
    }
    assert found[nodes, "triggered_from"] == {"single-step", "workflow-run", "rag-pipeline-run"}
    assert found["workflow_app_logs", "created_from"] == {
        *("service-api", "web-app", "installed-app"),
    }
    assert found["workflow_node_execution_offload", "type"] == {
        *("inputs", "outputs", "process_data"),
    }


def test_json_is_spelled_as_dify_spells_it(plain: list[Bundle]) -> None:
    checked = 0
    for bundle in plain:
        for table in ("workflow_runs", "workflow_node_executions"):
            for row in bundle.rows.get(table, ()):
                for column, value in named(table, row).items():
                    if column in JSON_COLUMNS and value is not None:
                        assert json.dumps(json.loads(str(value))) == value
                        checked += 1
    assert checked > 5_000


def test_rows_of_a_run_belong_together(plain: list[Bundle]) -> None:
    for bundle in plain:
        if "workflow_runs" not in bundle.rows:
            continue
        run = named("workflow_runs", bundle.rows["workflow_runs"][0])
        nodes = [
            named("workflow_node_executions", row)
            for row in bundle.rows["workflow_node_executions"]
        ]
        end = moment(run["finished_at"] or "9999-12-31")
        for index, node in enumerate(nodes, start=1):
            assert node["workflow_run_id"] == run["id"]
            assert node["index"] == index
            assert moment(run["created_at"]) <= moment(node["created_at"]) <= end
            if node["finished_at"] is not None:
                assert moment(node["created_at"]) <= moment(node["finished_at"]) <= end
        assert run["total_steps"] == len(nodes)
        tokens = [json.loads(str(node["execution_metadata"] or "{}")) for node in nodes]
        assert run["total_tokens"] == sum(t.get("total_tokens", 0) for t in tokens)
        assert all(isinstance(t.get("total_price", "0"), str) for t in tokens)
        assert (run["finished_at"] is not None) == bundle.settled
        logs = [named("workflow_app_logs", r) for r in bundle.rows.get("workflow_app_logs", ())]
        debugging = run["triggered_from"] in ("debugging", "rag-pipeline-debugging")
        assert [log["workflow_run_id"] for log in logs] == ([] if debugging else [run["id"]])


def test_single_steps_belong_to_no_run(plain: list[Bundle]) -> None:
    singles = [bundle for bundle in plain if list(bundle.rows) == ["workflow_node_executions"]]
    assert singles
    for bundle in singles:
        (node,) = (
            named("workflow_node_executions", row)
            for row in bundle.rows["workflow_node_executions"]
        )
        assert node["workflow_run_id"] is None
        assert node["triggered_from"] == "single-step"
        assert bundle.settled == (node["status"] != "running")


def test_every_row_lies_within_the_months_of_the_profile() -> None:
    for profile in (TEST, replace(PLAIN, months=14, runs_per_month=6, unsettled=3)):
        first, *_, end = profile.month_starts
        for table in STREAM_TABLES:
            for row in table_of(profile, table):
                assert first <= moment(row["created_at"]) < end
    assert replace(PLAIN, months=14).month_names[-3:] == ("2025-12", "2026-01", "2026-02")


def test_month_boundaries_are_occupied(plain: list[Bundle]) -> None:
    for table in ("workflow_runs", "workflow_node_executions"):
        times = defaultdict(list)
        for row in table_of(PLAIN, table):
            times[row["tenant_id"]].append(str(row["created_at"]))
        for tenant in PLAIN.tenant_ids:
            assert "2025-01-01 00:00:00" in times[tenant]
            assert "2025-02-01 00:00:00" in times[tenant]
            assert "2025-01-31 23:59:59.999999" in times[tenant]
            assert "2025-02-28 23:59:59.999999" in times[tenant]


def test_a_run_crosses_into_the_next_month(plain: list[Bundle]) -> None:
    crossing = [
        bundle
        for bundle in plain
        for run in bundle.rows.get("workflow_runs", ())
        if named("workflow_runs", run)["created_at"] == "2025-01-31 23:59:59.900000"
    ]
    assert {bundle.tenant_id for bundle in crossing} == set(PLAIN.tenant_ids)
    for bundle in crossing:
        months = [
            str(named("workflow_node_executions", row)["created_at"])[:7]
            for row in bundle.rows["workflow_node_executions"]
        ]
        assert months == ["2025-01"] + ["2025-02"] * (len(months) - 1)
        for log in bundle.rows.get("workflow_app_logs", ()):
            assert str(named("workflow_app_logs", log)["created_at"]) > "2025-02-01"


@pytest.mark.parametrize("table", ["workflow_runs", "workflow_node_executions"])
def test_some_rows_share_their_creation_time(table: str) -> None:
    ids: dict[tuple[Value, Value], set[Value]] = defaultdict(set)
    for row in table_of(PLAIN, table):
        ids[row["tenant_id"], row["created_at"]].add(row["id"])
    for tenant in PLAIN.tenant_ids:
        assert max(len(found) for (owner, _), found in ids.items() if owner == tenant) >= 3


def test_open_runs_come_with_their_rows() -> None:
    counts = expected(replace(TEST, unsettled=2), NEW)
    for tenant in TEST.tenant_ids:
        for month in ("2025-01", "2025-02"):
            assert counts.units["workflow_runs", tenant, month].unsettled == 3
            assert counts.units["workflow_node_executions", tenant, month].unsettled >= 6
    assert counts.unsettled == sum(unit.unsettled for unit in counts.units.values())
    assert expected(replace(TEST, unsettled=0), NEW).unsettled == 0
    paused = [row for row in table_of(TEST, "workflow_runs") if row["status"] == "paused"]
    pauses = {row["workflow_run_id"]: row for row in table_of(TEST, "workflow_pauses")}
    assert paused
    assert all(pauses[run["id"]]["resumed_at"] is None for run in paused)


@pytest.mark.parametrize("schema", list(DifySchema))
def test_every_hostile_case_is_in_a_run_and_in_a_node(schema: DifySchema) -> None:
    runs = {row["id"]: row for row in table_of(TEST, "workflow_runs", schema)}
    nodes = {row["id"]: row for row in table_of(TEST, "workflow_node_executions", schema)}
    counts = expected(TEST, schema)
    assert set(counts.hostile) == set(HOSTILE_VALUES)
    for case, where in counts.hostile.items():
        values = HOSTILE_VALUES[case]
        for row in (runs[where.run_id], nodes[where.node_execution_id]):
            assert row["tenant_id"] == where.tenant_id
            assert str(row["created_at"]).startswith(where.month)
            for column in values.keys() & row.keys():
                assert row[column] == values[column]


def test_hostile_values_fit_their_columns() -> None:
    for values in HOSTILE_VALUES.values():
        assert set(values) <= {*COLUMNS[NEW]["workflow_runs"]} | {
            *COLUMNS[NEW]["workflow_node_executions"]
        }
        for column, value in values.items():
            text = "" if value is None else str(value)
            assert "\0" not in text
            text.encode()
            assert column != "title" or len(text) <= 255
    assert len(HOSTILE_VALUES) >= 60


def test_offloaded_content_is_in_its_file_and_shortened_in_its_row(plain: list[Bundle]) -> None:
    sizes = []
    for bundle in plain:
        nodes = {
            row[0]: named("workflow_node_executions", row)
            for row in bundle.rows.get("workflow_node_executions", ())
        }
        files = {file.key: file.content for file in bundle.files}
        uploads = {
            row[0]: named("upload_files", row) for row in bundle.rows.get("upload_files", ())
        }
        for row in bundle.rows.get("workflow_node_execution_offload", ()):
            offload = named("workflow_node_execution_offload", row)
            upload = uploads[offload["file_id"]]
            content = files[str(upload["key"])]
            assert content is not None
            assert upload["size"] == len(content)
            full = json.loads(content)
            assert full["text"].endswith(f" tail-{full['ticket']}")
            sizes.append(len(content))
            if offload["node_execution_id"] is None:
                assert list(bundle.rows) == ["workflow_node_execution_offload", "upload_files"]
                continue
            node, column = nodes[offload["node_execution_id"]], str(offload["type"])
            assert upload["name"] == f"node_execution_{node['id']}_{column}.json"
            if column == "inputs" or node["status"] == "succeeded":
                short = json.loads(str(node[column]))
                assert full["text"].startswith(short["text"].removesuffix("..."))
                assert len(short["text"]) < len(full["text"])
    assert sum(size > DIFY_THRESHOLD for size in sizes) == PLAIN.tenants
    assert len(sizes) > PLAIN.tenants * PLAIN.offloaded


def test_files_can_be_missing_on_purpose() -> None:
    counts = expected(replace(TEST, missing_files=2), NEW)
    assert len(counts.missing_files) == 2
    assert not set(counts.missing_files) & set(counts.files)
    assert expected(TEST, NEW).missing_files == ()


def test_texts_can_be_searched_for(plain: list[Bundle]) -> None:
    with_phrase = {
        row["tenant_id"]
        for row in table_of(PLAIN, "workflow_runs")
        if FULL_TEXT_PHRASE in f"{row['inputs']} {row['outputs']}"
    }
    assert with_phrase == set(PLAIN.tenant_ids)
    tickets = [
        json.loads(str(named("workflow_runs", run)["inputs"]))["ticket"]
        for bundle in plain
        for run in bundle.rows.get("workflow_runs", ())
    ]
    assert len(set(tickets)) == len(tickets)


def test_ids_are_unique(plain: list[Bundle]) -> None:
    ids: dict[str, list[Value]] = defaultdict(list)
    for bundle in plain:
        for table, table_rows in bundle.rows.items():
            ids[table] += [row[0] for row in table_rows]
    for found in ids.values():
        assert len(set(found)) == len(found)


def test_the_demo_profile_has_about_100_000_rows() -> None:
    profile = PROFILES["demo"]
    counts = expected(profile, NEW)
    assert 95_000 <= counts.stream_rows <= 105_000
    assert counts.stream_rows == sum(counts.rows[table] for table in STREAM_TABLES)
    assert counts.settled + counts.unsettled == counts.stream_rows
    assert profile.month_names == ("2025-01", "2025-02", "2025-03", "2025-04")
    assert {tenant for _, tenant, _ in counts.units} == set(profile.tenant_ids)
    for tenant in profile.tenant_ids:
        for month in profile.month_names:
            for table in STREAM_TABLES[:3]:
                assert counts.units[table, tenant, month].rows > 0
    assert abs(profile.about_rows - counts.stream_rows) < 0.15 * counts.stream_rows
    assert counts.missing_files == ()


def test_the_test_profile_has_about_2_000_rows() -> None:
    assert 1_500 <= expected(TEST, NEW).stream_rows <= 2_500


def test_the_bench_profile_has_real_sizes() -> None:
    sample = replace(PROFILES["bench"], runs_per_month=1_500)
    graphs = sorted(len(str(row["graph"])) for row in table_of(sample, "workflow_runs"))
    nodes = [len(copy_line(row)) for row in rows(sample, NEW, "workflow_node_executions")]
    assert 12_000 <= graphs[len(graphs) // 2] <= 23_000
    assert 1_600 <= sum(nodes) / len(nodes) <= 2_600
    assert len(nodes) / sample.runs_per_month * PROFILES["bench"].runs_per_month >= 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenants": 0},
        {"months": 0},
        {"first_month": "2025-13"},
        {"first_month": "January"},
        {"runs_per_month": -1},
        {"missing_files": -1},
        {"text_scale": 0.0},
    ],
)
def test_impossible_profiles_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        replace(TEST, **wrong)


def test_copy_lines_escape_what_copy_would_read_as_its_own() -> None:
    assert copy_line(("a\tb\nc\rd\\e", None, 1, 0.5, "\\N", "")) == (
        "a\\tb\\nc\\rd\\\\e\t\\N\t1\t0.5\t\\\\N\t\n"
    )
