"""Streams, plans and chunks as the tests of the search target need them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_logmigrate.core.chunk import Chunk, Chunker
from airflow_provider_logmigrate.core.layout import Layout, share_of
from airflow_provider_logmigrate.core.naming import IndexNames
from airflow_provider_logmigrate.core.plan import Estimate, ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.stream import (
    Column,
    ColumnKind,
    JsonMode,
    Offload,
    Stream,
    StreamShape,
)
from airflow_provider_logmigrate.core.unit import Unit, month_of
from airflow_provider_logmigrate.stores.search.bulk import prefix
from airflow_provider_logmigrate.stores.search.endpoint import Engine
from airflow_provider_logmigrate.stores.search.mapping import IndexOptions, index_body

NAMES = IndexNames("dify", "runs")
START = datetime(2025, 1, 5, tzinfo=timezone.utc)
VERSION = 1_736_000_000_000_000

STREAM = Stream(
    name="runs",
    slug="runs",
    table="runs",
    key="id",
    event_time="created_at",
    tenant_column="tenant_id",
)
OFFLOAD = Offload("offload", "run_id", "type", "file_id", "upload_files", "id", "key")


def shape(
    *, stream: Stream = STREAM, mode: JsonMode = JsonMode.FLAT_OBJECT, offload: bool = True
) -> StreamShape:
    """A stream with a column of every kind; ``mode`` is that of the column ``outputs``."""
    kinds = ColumnKind
    columns = (
        Column("created_at", kinds.TIMESTAMP, "timestamp"),
        Column("error", kinds.TEXT, "text", variable=True),
        Column("id", kinds.UUID, "uuid"),
        Column("inputs", kinds.JSON, "text", variable=True),
        Column("ok", kinds.BOOLEAN, "boolean"),
        Column("outputs", kinds.JSON, "text", variable=True, json_mode=mode),
        Column("price", kinds.DECIMAL, "numeric"),
        Column("seconds", kinds.FLOAT, "double precision"),
        Column("status", kinds.KEYWORD, "varchar"),
        Column("steps", kinds.INTEGER, "integer"),
        Column("tags", kinds.OTHER, "text[]"),
        Column("tenant_id", kinds.UUID, "uuid"),
    )
    return StreamShape(stream, columns, OFFLOAD if offload else None)


def plan(
    engine: Engine,
    tenant: str = "t1",
    *,
    definition: str = "d1",
    options: IndexOptions | None = None,
    version: int = 1,
    of: StreamShape | None = None,
    names: IndexNames = NAMES,
    shared: bool = False,
    estimate: Estimate | None = None,
) -> UnitPlan:
    """January 2025 of a tenant, in an index of its own unless ``shared``."""
    unit = Unit("runs", tenant, month_of(START))
    label = unit.period.label
    own, common = names.index(tenant, label, version), names.shared_index(label, version)
    layout = Layout.SHARED if shared else Layout.PER_TENANT
    made_of = of or shape()
    return UnitPlan(
        unit=unit,
        alias=names.unit_alias(tenant, label),
        tenant_alias=names.tenant_alias(tenant),
        index=common if shared else own,
        definition=definition,
        strategy=ReadStrategy.KEYSET,
        strategy_reason="a test",
        body=index_body(made_of, options or IndexOptions(), engine=engine, layout=layout),
        estimate=estimate,
        share=share_of(made_of, tenant) if shared else None,
    )


def document(number: int, **changes: Any) -> dict[str, Any]:
    """A document of the stream; one every seven minutes."""
    moment = START + timedelta(minutes=7 * number)
    return {
        "id": f"key-{number:06d}",
        "created_at": moment.isoformat(timespec="microseconds"),
        "inputs": json.dumps({"question": f"what is {number}?"}),
        "ok": True,
        "outputs": {"answer": f"it is {number}"},
        "price": 0.1,
        "seconds": 1.5,
        "steps": number,
        "logmigrate": {"high": 4_294_967_295 - number, "low": number},
    } | changes


def framed(key: str, source: Mapping[str, Any] | bytes, version: int = VERSION) -> bytes:
    """Action line and document, as a source frames them."""
    text = source if isinstance(source, bytes) else json.dumps(source).encode()
    return prefix(version) % json.dumps(key).encode() + text + b"\n"


def chunk(
    documents: Iterable[tuple[str, Mapping[str, Any] | bytes]], version: int = VERSION
) -> Chunk:
    """One chunk of (key, document)."""
    cut: list[Chunk] = []
    chunker = Chunker(cut.append, max_bytes=1 << 40, max_count=1 << 40)
    for key, source in documents:
        chunker.add(framed(key, source, version), key)
    chunker.cut(None)
    return cut[0]


def numbered(count: int, first: int = 0) -> list[tuple[str, Mapping[str, Any] | bytes]]:
    """Documents with ascending keys."""
    return [(d["id"], d) for d in (document(n) for n in range(first, first + count))]
