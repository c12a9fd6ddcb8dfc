"""The ``dify`` pack: the four workflow log tables of a Dify installation.

Columns come and go between Dify versions, so these declarations name what is known and what every
version has; what a database really holds is read from its catalog. There are no foreign keys
between the tables, no ``updated_at`` anywhere, and all JSON lives in ``text`` columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_logmigrate.core.stream import (
    Dependent,
    JsonMode,
    Offload,
    Parent,
    Reference,
    SettledBy,
    SettledWithParent,
    Stream,
)

RUN_ENDED = ("succeeded", "failed", "partial-succeeded", "stopped")
"""Statuses a run never leaves. ``paused`` isn't one: a paused run comes back later."""

NODE_ENDED = ("succeeded", "failed", "exception", "stopped", "retry")
"""Statuses a node execution never leaves. ``retry`` is one: the next try is a row of its own."""

_KEYWORD: Mapping[str, Any] = {"type": "keyword"}
_LONG: Mapping[str, Any] = {"type": "long"}
_TEXT: Mapping[str, Any] = {"type": "text"}
_TITLE: Mapping[str, Any] = {
    "type": "text",
    # 255 characters of UTF-8 fit: the sub-field never drops a title
    "fields": {"keyword": {"type": "keyword", "ignore_above": 1024}},
}

_RUN_ENDED = SettledBy(column="status", values=RUN_ENDED)

_FILES = Dependent(
    table="upload_files",
    key="id",
    column="id",
    of="workflow_node_execution_offload",
    of_column="file_id",
    keep=True,
    file_key="key",
)
_OFFLOADED = (
    Dependent(
        table="workflow_node_execution_offload",
        key="id",
        column="node_execution_id",
        of="workflow_node_executions",
        of_column="id",
        stream="workflow_node_execution_offload",
        keep=True,
    ),
    _FILES,
)


def _of_run(table: str, *, keep: bool = False) -> Dependent:
    """A table whose rows end with their run; what isn't kept has to be copied."""
    return Dependent(
        table=table,
        key="id",
        column="workflow_run_id",
        of="workflow_runs",
        of_column="id",
        stream=None if keep else table,
        keep=keep,
    )


def _with_run(own: SettledBy | None = None) -> SettledWithParent:
    """Settled with the row's run; ``own`` speaks for rows that belong to no run."""
    return SettledWithParent(
        foreign_key="workflow_run_id",
        parent_table="workflow_runs",
        parent_key="id",
        parent=_RUN_ENDED,
        own=own,
    )


def _json(*columns: str) -> dict[str, JsonMode]:
    return dict.fromkeys(columns, JsonMode.TEXT)


def _keywords(columns: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    return dict.fromkeys(columns, _KEYWORD)


def _workflow_runs() -> Stream:
    required = (
        *("id", "tenant_id", "app_id", "workflow_id", "type", "triggered_from", "version"),
        *("graph", "inputs", "status", "outputs", "error", "elapsed_time", "total_tokens"),
        *("total_steps", "created_by_role", "created_by", "created_at", "finished_at"),
    )
    return Stream(
        name="workflow_runs",
        slug="workflow-runs",
        table="workflow_runs",
        key="id",
        event_time="created_at",
        tenant_column="tenant_id",
        settled=_RUN_ENDED,
        required=required,
        known=(*required, "exceptions_count", "sequence_number", "task_id"),
        json_columns=_json("graph", "inputs", "outputs"),
        fields={
            **_keywords(("type", "triggered_from", "version", "status", "created_by_role")),
            # int in old installations, bigint in new ones: one mapping for both
            "total_tokens": _LONG,
            "error": _TEXT,
        },
        dependents=(
            _of_run("workflow_app_logs"),
            _of_run("workflow_node_executions"),
            *_OFFLOADED,
            _of_run("workflow_pauses", keep=True),
            Dependent(
                table="workflow_pause_reasons",
                key="id",
                column="pause_id",
                of="workflow_pauses",
                of_column="id",
                keep=True,
            ),
            _of_run("workflow_trigger_logs", keep=True),
        ),
        references=(Reference("messages", "workflow_run_id"),),
    )


def _workflow_app_logs() -> Stream:
    columns = (
        *("id", "tenant_id", "app_id", "workflow_id", "workflow_run_id", "created_from"),
        *("created_by_role", "created_by", "created_at"),
    )
    return Stream(
        name="workflow_app_logs",
        slug="workflow-app-logs",
        table="workflow_app_logs",
        key="id",
        event_time="created_at",
        tenant_column="tenant_id",
        settled=_with_run(),
        # No parent to read by: a log row is written when its run ends, so its event time may lie
        # behind the run's finished_at and a window over runs would miss it.
        required=columns,
        known=columns,
        json_columns={},
        fields=_keywords(("created_from", "created_by_role")),
    )


def _workflow_node_executions() -> Stream:
    required = (
        *("id", "tenant_id", "app_id", "workflow_id", "triggered_from", "workflow_run_id"),
        *("index", "predecessor_node_id", "node_id", "node_type", "title", "inputs"),
        *("process_data", "outputs", "status", "error", "elapsed_time", "execution_metadata"),
        *("created_at", "created_by_role", "created_by", "finished_at"),
    )
    return Stream(
        name="workflow_node_executions",
        slug="workflow-node-executions",
        table="workflow_node_executions",
        key="id",
        event_time="created_at",
        tenant_column="tenant_id",
        settled=_with_run(own=SettledBy(column="status", values=NODE_ENDED)),
        parent=Parent(
            table="workflow_runs",
            key="id",
            foreign_key="workflow_run_id",
            event_time="created_at",
            ended_at="finished_at",
        ),
        offload=Offload(
            link_table="workflow_node_execution_offload",
            link_row="node_execution_id",
            link_column="type",
            link_file="file_id",
            file_table="upload_files",
            file_id="id",
            file_key="key",
        ),
        required=required,
        known=(*required, "node_execution_id"),
        json_columns=_json("inputs", "process_data", "outputs", "execution_metadata"),
        fields={
            **_keywords(("triggered_from", "predecessor_node_id", "node_execution_id")),
            **_keywords(("node_id", "node_type", "status", "created_by_role")),
            "title": _TITLE,
            "error": _TEXT,
        },
        dependents=_OFFLOADED,
    )


def _workflow_node_execution_offload() -> Stream:
    columns = (
        *("id", "created_at", "tenant_id", "app_id", "node_execution_id", "type", "file_id"),
    )
    return Stream(
        name="workflow_node_execution_offload",
        slug="workflow-node-execution-offload",
        table="workflow_node_execution_offload",
        key="id",
        event_time="created_at",
        tenant_column="tenant_id",
        # The run is two hops away, and nothing is gained by waiting for it: Dify inserts a link
        # row once, when the content is already stored, and never updates it.
        settled=None,
        required=columns,
        known=columns,
        json_columns={},
        fields=_keywords(("type",)),
        optional_table=True,
        dependents=(_FILES,),
    )


def streams() -> tuple[Stream, ...]:
    """The pack's streams, parents before children."""
    return (
        _workflow_runs(),
        _workflow_app_logs(),
        _workflow_node_executions(),
        _workflow_node_execution_offload(),
    )
