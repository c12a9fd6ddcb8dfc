"""The dify pack against the tables that installations have, old and new."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.stream import (
    JsonMode,
    SettledBy,
    SettledWithParent,
    Stream,
)
from airflow_provider_logmigrate.streams.dify import NODE_ENDED, RUN_ENDED, streams
from devstack.sampledata.schema import COLUMNS, STREAM_TABLES, DifySchema

BY_NAME = {stream.name: stream for stream in streams()}


def test_the_four_tables_under_the_promised_names() -> None:
    assert tuple(BY_NAME) == STREAM_TABLES
    assert [stream.slug for stream in streams()] == [
        "workflow-runs",
        "workflow-app-logs",
        "workflow-node-executions",
        "workflow-node-execution-offload",
    ]
    assert all(
        (s.table, s.key, s.event_time, s.tenant_column) == (s.name, "id", "created_at", "tenant_id")
        for s in streams()
    )


@pytest.mark.parametrize("variant", list(DifySchema))
@pytest.mark.parametrize("stream", streams(), ids=lambda stream: stream.name)
def test_columns_of_real_installations_are_known(stream: Stream, variant: DifySchema) -> None:
    columns = COLUMNS[variant].get(stream.table)
    if columns is None:
        assert stream.optional_table
        return
    assert set(stream.required) <= set(columns)
    assert set(columns) <= set(stream.known)


@pytest.mark.parametrize("stream", streams(), ids=lambda stream: stream.name)
def test_a_stream_names_only_its_own_columns(stream: Stream) -> None:
    assert len(set(stream.known)) == len(stream.known)
    assert set(stream.required) <= set(stream.known)
    assert {stream.key, stream.event_time, stream.tenant_column} <= set(stream.required)
    assert set(stream.json_columns) <= set(stream.required)
    assert set(stream.fields) <= set(stream.known)
    assert set(stream.json_columns).isdisjoint(stream.fields)
    assert set(stream.json_columns.values()) <= {JsonMode.TEXT}


def test_only_the_offload_table_may_be_missing() -> None:
    assert [stream.name for stream in streams() if stream.optional_table] == [
        "workflow_node_execution_offload"
    ]


def test_settled_rules() -> None:
    run = SettledBy("status", RUN_ENDED)
    own = SettledBy("status", NODE_ENDED)

    assert BY_NAME["workflow_runs"].settled == run
    assert BY_NAME["workflow_app_logs"].settled == SettledWithParent(
        "workflow_run_id", "workflow_runs", "id", run
    )
    assert BY_NAME["workflow_node_executions"].settled == SettledWithParent(
        "workflow_run_id", "workflow_runs", "id", run, own
    )
    assert BY_NAME["workflow_node_execution_offload"].settled is None


def test_every_status_is_ended_or_not() -> None:
    all_of_runs = {"running", "succeeded", "failed", "stopped", "partial-succeeded"}
    all_of_runs |= {"paused", "scheduled"}
    all_of_nodes = {"pending", "running", "succeeded", "failed", "exception", "stopped"}
    all_of_nodes |= {"paused", "retry"}

    assert all_of_runs - set(RUN_ENDED) == {"running", "paused", "scheduled"}
    assert all_of_nodes - set(NODE_ENDED) == {"pending", "running", "paused"}
