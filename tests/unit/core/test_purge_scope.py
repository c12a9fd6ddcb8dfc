"""What goes together, for the Dify pack and for own streams."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_logmigrate.core.purge_scope import Scope, scope_of
from airflow_provider_logmigrate.core.stream import (
    Column,
    ColumnKind,
    JsonMode,
    SettledBy,
    SettledWithParent,
    Stream,
    StreamShape,
)
from airflow_provider_logmigrate.streams.dify import streams

DIFY = {stream.name: StreamShape(stream, ()) for stream in streams()}
TABLES = {
    *DIFY,
    *("upload_files", "workflow_pauses", "workflow_pause_reasons", "workflow_trigger_logs"),
    "messages",
}


def scope(name: str, *, without: str = "", follows: bool = True) -> Scope:
    return scope_of(
        DIFY[name].stream,
        copied={n: shape for n, shape in DIFY.items() if n != without},
        existing=TABLES - {without},
        follows_content=follows,
    )


def test_a_run_takes_all_its_tables_along_and_messages_stay() -> None:
    found = scope("workflow_runs")

    assert [(part.table, part.stream) for part in found.parts] == [
        ("workflow_app_logs", "workflow_app_logs"),
        ("workflow_node_executions", "workflow_node_executions"),
        ("workflow_node_execution_offload", "workflow_node_execution_offload"),
        ("upload_files", None),
        ("workflow_pauses", None),
        ("workflow_pause_reasons", None),
        ("workflow_trigger_logs", None),
    ]
    assert [reference.table for reference in found.references] == ["messages"]
    assert found.owners == ()
    assert found.obstacles == ()


def test_rows_with_a_run_dont_go_by_themselves() -> None:
    assert [o.of for o in scope("workflow_node_executions").owners] == ["workflow_runs"]
    assert [o.of for o in scope("workflow_app_logs").owners] == ["workflow_runs"]
    offload = scope("workflow_node_execution_offload")
    assert {o.of for o in offload.owners} == {"workflow_node_executions"}


def test_tables_this_version_lacks_are_left_out() -> None:
    found = scope("workflow_runs", without="workflow_node_execution_offload")

    assert "workflow_node_execution_offload" not in found.tables
    assert found.obstacles == ()


def test_nodes_that_arent_copied_forbid_the_purge_of_their_runs() -> None:
    found = scope_of(
        DIFY["workflow_runs"].stream,
        copied={"workflow_runs": DIFY["workflow_runs"]},
        existing=TABLES,
        follows_content=True,
    )

    assert [text for text in found.obstacles if "workflow_node_executions end with" in text]


def test_content_that_isnt_followed_forbids_it_too() -> None:
    assert any(
        "give it `offload`" in text for text in scope("workflow_runs", follows=False).obstacles
    )


def test_a_column_that_isnt_kept_byte_for_byte_forbids_it() -> None:
    column = Column("inputs", ColumnKind.JSON, "text", json_mode=JsonMode.OBJECT)
    shape = StreamShape(DIFY["workflow_runs"].stream, (column,))

    found = scope_of(
        shape.stream,
        copied={**DIFY, "workflow_runs": shape},
        existing=TABLES,
        follows_content=True,
    )

    assert any("byte for byte" in text for text in found.obstacles)


def test_own_streams_that_settle_with_a_parent_go_with_it() -> None:
    parent = Stream("runs", "runs", "runs", "id", "at", "tenant", SettledBy("state", ("done",)))
    rule = SettledWithParent("run", "runs", "id", SettledBy("state", ("done",)))
    child = Stream("steps", "steps", "steps", "id", "at", "tenant", rule)
    shapes = {s.name: StreamShape(s, ()) for s in (parent, child)}

    with_parent = scope_of(parent, copied=shapes, existing={"runs", "steps"}, follows_content=False)
    alone = scope_of(child, copied=shapes, existing={"runs", "steps"}, follows_content=False)
    elsewhere = replace(child, settled=replace(rule, parent_table="not_copied"))
    free = scope_of(
        elsewhere,
        copied={"steps": StreamShape(elsewhere, ())},
        existing={"steps", "not_copied"},
        follows_content=False,
    )

    assert [(part.table, part.stream) for part in with_parent.parts] == [("steps", "steps")]
    assert [(o.of, o.column) for o in alone.owners] == [("runs", "run")]
    assert free.owners == ()
