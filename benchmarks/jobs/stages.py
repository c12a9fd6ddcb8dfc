"""A copy cut short at one of its stages, for the breakdown of a row's cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg2 import sql

from airflow_provider_logmigrate.core.chunk import Chunk, Chunker
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import ReadRequest, TimeRange
from airflow_provider_logmigrate.hooks.assembly import Workbench
from airflow_provider_logmigrate.stores.postgres.render import COPY_OPTIONS, RowRenderer
from airflow_provider_logmigrate.stores.postgres.row_query import copied_fields, row_condition
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col
from airflow_provider_logmigrate.stores.postgres.session import PAGE_PLAN
from benchmarks.jobs.opening import opened, plan_of
from benchmarks.jobs.read import _ignore

BACKEND = (
    "the key alone",
    "and the settled rule",
    "and the raw columns",
    "and JSON-ready columns",
    "and the fingerprint",
    "and the offload list: one statement",
    "and pages: our reader",
)
PYTHON = (
    "receiving rows",
    "and rendering documents",
    "and chunks",
    "and pages: our reader",
)
PAGE = 20_000


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Plan the unit."""
    with opened(spec) as bench:
        [unit] = plan_of(bench, spec["tenant"]).units
        yield lambda: {"rows": _run(bench, unit, spec["stage"])}


def _run(bench: Workbench, unit: UnitPlan, stage: str) -> int:
    if stage == "and pages: our reader":
        return _read(bench, unit)
    found = bench.source.preflight(unit.unit.stream)
    rows = RowSql(found.shape, not_null=found.facts.not_null)
    chunker_of = _NoChunker if stage == "and rendering documents" else Chunker
    chunker = chunker_of(_drop, max_bytes=bench.migration.limits.chunk_bytes)
    renderer = RowRenderer(
        rows, framing=bench.target, chunker=chunker, resolve=_nothing, report=_ignore
    )
    renderer.begin_page(version=1)
    sink = _Counter()
    part = TimeRange(unit.unit.period.start, unit.unit.period.end)
    query = sql.SQL("COPY (SELECT {} FROM {} WHERE {} ORDER BY {}) TO STDOUT {}").format(
        _fields(rows, stage),
        rows.table if stage == BACKEND[0] else rows.with_parent,
        rows.within(unit.unit.tenant, part.start, part.end)
        if stage == BACKEND[0]
        else row_condition(rows, unit.unit.tenant, part, None),
        rows.order,
        sql.SQL(COPY_OPTIONS),
    )
    with bench.sessions.open(PAGE_PLAN) as connection, connection.cursor() as cursor:
        cursor.copy_expert(query, renderer if stage in PYTHON[1:] else sink)
    return renderer.rows_seen or sink.rows


def _read(bench: Workbench, unit: UnitPlan) -> int:
    rows = 0

    def emit(chunk: Chunk) -> None:
        nonlocal rows
        rows += chunk.count

    part = TimeRange(unit.unit.period.start, unit.unit.period.end)
    bench.source.read(
        ReadRequest(unit, (part,)), framing=bench.target, emit=emit, report=_ignore, stop=Stop()
    )
    return rows


def _fields(rows: RowSql, stage: str) -> sql.Composable:
    columns = rows.shape.columns
    ready = [rows.key_value, *(rows.value(column) for column in columns)]
    wanted: dict[str, list[sql.Composable]] = {
        BACKEND[0]: [rows.key_value],
        BACKEND[1]: [rows.key_value],
        BACKEND[2]: [rows.key_value, *(col(column.name) for column in columns)],
        BACKEND[3]: ready,
        BACKEND[4]: [*ready, rows.fingerprint],
    }
    return sql.SQL(", ").join(wanted[stage]) if stage in wanted else copied_fields(rows)


class _Counter:
    """Takes rows and counts them."""

    def __init__(self) -> None:
        self.rows = 0

    def write(self, row: bytes) -> None:  # noqa: ARG002
        self.rows += 1


def _drop(chunk: Chunk) -> None:
    """The bytes end here."""


class _NoChunker(Chunker):
    """Takes documents and forgets them."""

    def add(self, document: bytes, key: str) -> bool:  # noqa: ARG002
        return False


def _nothing(key: str, listed: bytes) -> bytes:  # noqa: ARG001
    return b""
