"""The Dify tables the migration reads, as real installations have them, in two variants.

The variants stand for the two ends of what is found in the field. They differ in columns, in
tables and, what matters most to a reader, in indexes: only installations upgraded in 2026 have an
index that leads on ``workflow_runs.created_at``. Neither variant has foreign keys, ``updated_at``
columns or time zones, because Dify has none there. Column order follows the order in which
migrations added the columns, so nothing may rely on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import connection

STREAM_TABLES = (
    "workflow_runs",
    "workflow_app_logs",
    "workflow_node_executions",
    "workflow_node_execution_offload",
)
"""The four tables a migration copies; all have ``tenant_id`` and ``created_at``."""


class DifySchema(str, Enum):
    """Which generation of Dify's database schema to build."""

    NEW = "new"
    """Early 2026: index (created_at, id) on runs, indexes on workflow_run_id, offload table."""
    OLD = "old"
    """2024 to early 2025: no index on any created_at, ``sequence_number`` mandatory, int tokens."""


_RUN_COLUMNS = (
    *("id", "tenant_id", "app_id", "workflow_id", "type", "triggered_from", "version", "graph"),
    *("inputs", "status", "outputs", "error", "elapsed_time", "total_tokens", "total_steps"),
    *("created_by_role", "created_by", "created_at", "finished_at"),
)
_COMMON_COLUMNS: dict[str, tuple[str, ...]] = {
    "workflow_app_logs": (
        *("id", "tenant_id", "app_id", "workflow_id", "workflow_run_id", "created_from"),
        *("created_by_role", "created_by", "created_at"),
    ),
    "workflow_node_executions": (
        *("id", "tenant_id", "app_id", "workflow_id", "triggered_from", "workflow_run_id"),
        *("index", "predecessor_node_id", "node_execution_id", "node_id", "node_type", "title"),
        *("inputs", "process_data", "outputs", "status", "error", "elapsed_time"),
        *("execution_metadata", "created_at", "created_by_role", "created_by", "finished_at"),
    ),
    "messages": (
        *("id", "app_id", "conversation_id", "workflow_run_id", "query", "answer"),
        *("created_at", "updated_at"),
    ),
}
_NEW_ONLY_COLUMNS: dict[str, tuple[str, ...]] = {
    "workflow_node_execution_offload": (
        *("id", "created_at", "tenant_id", "app_id", "node_execution_id", "type", "file_id"),
    ),
    "upload_files": (
        *("id", "tenant_id", "storage_type", "key", "name", "size", "extension", "mime_type"),
        *("created_by_role", "created_by", "created_at", "used", "source_url"),
    ),
    "workflow_pauses": (
        *("id", "created_at", "updated_at", "workflow_id", "workflow_run_id", "resumed_at"),
        "state_object_key",
    ),
    "workflow_pause_reasons": (
        *("id", "created_at", "updated_at", "pause_id", "type_", "form_id", "message", "node_id"),
    ),
    "workflow_trigger_logs": (
        *("id", "tenant_id", "app_id", "workflow_id", "workflow_run_id", "trigger_type"),
        *("trigger_data", "inputs", "status", "queue_name", "created_by_role", "created_by"),
        *("retry_count", "created_at", "triggered_at", "finished_at"),
    ),
}

COLUMNS: Mapping[DifySchema, Mapping[str, tuple[str, ...]]] = {
    DifySchema.NEW: {
        "workflow_runs": (*_RUN_COLUMNS, "exceptions_count", "task_id"),
        **_COMMON_COLUMNS,
        **_NEW_ONLY_COLUMNS,
    },
    DifySchema.OLD: {"workflow_runs": (*_RUN_COLUMNS, "sequence_number"), **_COMMON_COLUMNS},
}
"""The columns sample rows are given in, in the order of the row tuples, by variant and table."""

_RUNS = """
CREATE TABLE public.workflow_runs (
    id uuid DEFAULT gen_random_uuid() NOT NULL CONSTRAINT workflow_run_pkey PRIMARY KEY,
    tenant_id uuid NOT NULL,
    app_id uuid NOT NULL,
    {sequence_number}
    workflow_id uuid NOT NULL,
    type varchar(255) NOT NULL,
    triggered_from varchar(255) NOT NULL,
    version varchar(255) NOT NULL,
    graph text,
    inputs text,
    status varchar(255) NOT NULL,
    outputs text,
    error text,
    elapsed_time double precision DEFAULT 0 NOT NULL,
    total_tokens {tokens} DEFAULT 0 NOT NULL,
    total_steps integer DEFAULT 0,
    created_by_role varchar(255) NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
    finished_at timestamp without time zone{newer}
)"""

_APP_LOGS = """
CREATE TABLE public.workflow_app_logs (
    id uuid DEFAULT gen_random_uuid() NOT NULL CONSTRAINT workflow_app_log_pkey PRIMARY KEY,
    tenant_id uuid NOT NULL,
    app_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    workflow_run_id uuid NOT NULL,
    created_from varchar(255) NOT NULL,
    created_by_role varchar(255) NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP(0) NOT NULL
)"""

_NODES = """
CREATE TABLE public.workflow_node_executions (
    id uuid DEFAULT gen_random_uuid() NOT NULL CONSTRAINT workflow_node_execution_pkey PRIMARY KEY,
    tenant_id uuid NOT NULL,
    app_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    triggered_from varchar(255) NOT NULL,
    workflow_run_id uuid,
    "index" integer NOT NULL,
    predecessor_node_id varchar(255),
    node_id varchar(255) NOT NULL,
    node_type varchar(255) NOT NULL,
    title varchar(255) NOT NULL,
    inputs text,
    process_data text,
    outputs text,
    status varchar(255) NOT NULL,
    error text,
    elapsed_time double precision DEFAULT 0 NOT NULL,
    execution_metadata text,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
    created_by_role varchar(255) NOT NULL,
    created_by uuid NOT NULL,
    finished_at timestamp without time zone,
    node_execution_id varchar(255)
)"""

_MESSAGES = """
CREATE TABLE public.messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL CONSTRAINT message_pkey PRIMARY KEY,
    app_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    query text NOT NULL,
    answer text NOT NULL,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP(0) NOT NULL,
    workflow_run_id uuid
)"""

_NEW_TABLES = (
    """
CREATE TABLE public.workflow_node_execution_offload (
    id uuid NOT NULL CONSTRAINT workflow_node_execution_offload_pkey PRIMARY KEY,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    tenant_id uuid NOT NULL,
    app_id uuid NOT NULL,
    node_execution_id uuid,
    type varchar(20) NOT NULL,
    file_id uuid NOT NULL,
    CONSTRAINT workflow_node_execution_offload_node_execution_id_key
        UNIQUE (node_execution_id, type)
)""",
    """
CREATE TABLE public.upload_files (
    id uuid DEFAULT gen_random_uuid() NOT NULL CONSTRAINT upload_file_pkey PRIMARY KEY,
    tenant_id uuid NOT NULL,
    storage_type varchar(255) NOT NULL,
    key varchar(255) NOT NULL,
    name varchar(255) NOT NULL,
    size integer NOT NULL,
    extension varchar(255) NOT NULL,
    mime_type varchar(255),
    created_by_role varchar(255) DEFAULT 'account' NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    used boolean DEFAULT false NOT NULL,
    used_by uuid,
    used_at timestamp without time zone,
    hash varchar(255),
    source_url text DEFAULT '' NOT NULL
)""",
    """
CREATE TABLE public.workflow_pauses (
    id uuid NOT NULL CONSTRAINT workflow_pauses_pkey PRIMARY KEY,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    workflow_id uuid NOT NULL,
    workflow_run_id uuid NOT NULL CONSTRAINT workflow_pauses_workflow_run_id_key UNIQUE,
    resumed_at timestamp without time zone,
    state_object_key varchar(255) NOT NULL
)""",
    """
CREATE TABLE public.workflow_pause_reasons (
    id uuid NOT NULL CONSTRAINT workflow_pause_reasons_pkey PRIMARY KEY,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    updated_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    pause_id uuid NOT NULL,
    type_ varchar(20) NOT NULL,
    form_id varchar(36) NOT NULL,
    message varchar(255) NOT NULL,
    node_id varchar(255) NOT NULL
)""",
    """
CREATE TABLE public.workflow_trigger_logs (
    id uuid NOT NULL CONSTRAINT workflow_trigger_log_pkey PRIMARY KEY,
    tenant_id uuid NOT NULL,
    app_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    workflow_run_id uuid,
    root_node_id varchar(255),
    trigger_metadata text DEFAULT '{}' NOT NULL,
    trigger_type varchar(50) NOT NULL,
    trigger_data text NOT NULL,
    inputs text NOT NULL,
    outputs text,
    status varchar(50) NOT NULL,
    error text,
    queue_name varchar(100) NOT NULL,
    celery_task_id varchar(255),
    created_by_role varchar(255) NOT NULL,
    created_by varchar(255) NOT NULL,
    retry_count integer DEFAULT 0 NOT NULL,
    elapsed_time double precision,
    total_tokens integer,
    created_at timestamp without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    triggered_at timestamp without time zone,
    finished_at timestamp without time zone
)""",
)

_Index = tuple[str, str, str]

_COMMON_INDEXES: tuple[_Index, ...] = (
    ("workflow_run_triggerd_from_idx", "workflow_runs", "tenant_id, app_id, triggered_from"),
    ("workflow_app_log_app_idx", "workflow_app_logs", "tenant_id, app_id"),
    (
        "workflow_node_execution_node_run_idx",
        "workflow_node_executions",
        "tenant_id, app_id, workflow_id, triggered_from, node_id",
    ),
    (
        "workflow_node_execution_id_idx",
        "workflow_node_executions",
        "tenant_id, app_id, workflow_id, triggered_from, node_execution_id",
    ),
    (
        "workflow_node_executions_tenant_id_idx",
        "workflow_node_executions",
        "tenant_id, workflow_id, node_id, created_at DESC",
    ),
    ("message_workflow_run_id_idx", "messages", "conversation_id, workflow_run_id"),
)
_NEW_INDEXES: tuple[_Index, ...] = (
    ("workflow_run_created_at_id_idx", "workflow_runs", "created_at, id"),
    ("workflow_app_log_workflow_run_id_idx", "workflow_app_logs", "workflow_run_id"),
    (
        "workflow_node_execution_workflow_run_id_idx",
        "workflow_node_executions",
        "workflow_run_id",
    ),
    ("upload_file_tenant_idx", "upload_files", "tenant_id"),
    ("workflow_pause_reasons_pause_id_idx", "workflow_pause_reasons", "pause_id"),
    ("workflow_trigger_log_workflow_run_idx", "workflow_trigger_logs", "workflow_run_id"),
    ("workflow_trigger_log_created_at_idx", "workflow_trigger_logs", "created_at"),
)
_OLD_INDEXES: tuple[_Index, ...] = (
    (
        "workflow_run_tenant_app_sequence_idx",
        "workflow_runs",
        "tenant_id, app_id, sequence_number",
    ),
    (
        "workflow_node_execution_workflow_run_idx",
        "workflow_node_executions",
        "tenant_id, app_id, workflow_id, triggered_from, workflow_run_id",
    ),
)


def table_statements(variant: DifySchema) -> tuple[str, ...]:
    """The CREATE TABLE statements of a variant, with keys but without its other indexes."""
    new = variant is DifySchema.NEW
    runs = _RUNS.format(
        sequence_number="" if new else "sequence_number integer NOT NULL,",
        tokens="bigint" if new else "integer",
        newer=",\n    exceptions_count integer DEFAULT 0,\n    task_id varchar(255)" if new else "",
    )
    return (runs, _APP_LOGS, _NODES, _MESSAGES, *(_NEW_TABLES if new else ()))


def index_statements(variant: DifySchema) -> tuple[str, ...]:
    """The secondary indexes of a variant, to be built after a load."""
    indexes = _COMMON_INDEXES + (_NEW_INDEXES if variant is DifySchema.NEW else _OLD_INDEXES)
    return tuple(
        f"CREATE INDEX {name} ON public.{table} ({columns})" for name, table, columns in indexes
    )


def create_schema(conn: connection, variant: DifySchema) -> None:
    """Create all tables and indexes of a variant in schema ``public``, in one transaction.

    Fails, and changes nothing, where one of the tables is there already.

    :param conn: an open psycopg2 connection outside a transaction
    :param variant: the generation of the schema
    """
    with conn, conn.cursor() as cursor:
        for statement in (*table_statements(variant), *index_statements(variant)):
            cursor.execute(statement)
