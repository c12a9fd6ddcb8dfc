"""Explicit mapping and settings of a unit's index.

Nothing is left to dynamic mapping, so no document can change the mapping or be refused because
another one came first. Dates and numbers are mapped with ``ignore_malformed``: a row with the date
``infinity`` or the number ``NaN`` is indexed, found by its other fields, and whole in ``_source``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.fingerprint import FIELD
from airflow_provider_logmigrate.core.layout import Layout
from airflow_provider_logmigrate.core.naming import MAX_TENANT_BYTES
from airflow_provider_logmigrate.core.stream import (
    Column,
    ColumnKind,
    JsonMode,
    StreamShape,
    TextIndex,
)
from airflow_provider_logmigrate.stores.search.endpoint import Engine

FINGERPRINT = FIELD
"""Our own top-level field: ``{"high": …, "low": …}``."""

OFFLOADED = "_offloaded"
"""Suffix of the field that holds a column's offloaded content."""

IGNORE_ABOVE = 1024
"""Characters of a keyword that is searchable; a key fits always (512 bytes at most)."""

_KEYWORD: Mapping[str, Any] = MappingProxyType({"type": "keyword", "ignore_above": IGNORE_ABOVE})
_TEXT: Mapping[str, Any] = MappingProxyType({"type": "text"})
_DATE: Mapping[str, Any] = MappingProxyType({"type": "date", "ignore_malformed": True})

_BY_KIND: Mapping[ColumnKind, Mapping[str, Any]] = {
    ColumnKind.UUID: _KEYWORD,
    ColumnKind.KEYWORD: _KEYWORD,
    ColumnKind.INTEGER: {"type": "long", "ignore_malformed": True},
    ColumnKind.FLOAT: {"type": "double", "ignore_malformed": True},
    ColumnKind.DECIMAL: {"type": "double", "ignore_malformed": True},
    ColumnKind.BOOLEAN: {"type": "boolean"},
    ColumnKind.TIMESTAMP: _DATE,
    ColumnKind.TIMESTAMP_TZ: _DATE,
    ColumnKind.OTHER: _KEYWORD,
}

_TEXTS: Mapping[TextIndex, Mapping[str, Any]] = {
    TextIndex.FULL: _TEXT,
    TextIndex.MATCH_ONLY: {"type": "match_only_text"},
    TextIndex.STORED: {"type": "text", "index": False},
}

_FLAT: Mapping[Engine, Mapping[str, Any]] = {
    # flat_object takes no parameters; a long leaf of flattened would be refused without the limit.
    Engine.OPENSEARCH: {"type": "flat_object"},
    Engine.ELASTICSEARCH: {"type": "flattened", "ignore_above": 8191},
}

_OBJECT: Mapping[str, Any] = {"type": "object", "dynamic": True}

_METADATA = frozenset(
    {"_id", "_index", "_source", "_routing", "_version", "_seq_no", "_ignored", "_field_names"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """What users choose about indices.

    :param codec: for example ``best_compression``; costs 35 to 60 % of the write rate.
    :param text: of all long texts whose field isn't defined explicitly, offloaded ones included.
    """

    shards: int = 1
    replicas: int = 0
    refresh_interval: str = "30s"
    total_fields: int = 2000
    codec: str | None = None
    text: TextIndex = TextIndex.FULL


def index_body(
    shape: StreamShape,
    options: IndexOptions,
    *,
    engine: Engine,
    layout: Layout = Layout.PER_TENANT,
) -> dict[str, Any]:
    """Mapping and serving settings of the stream's indices.

    In a shared index the tenant's column is a keyword, which the aliases filter by, and a write
    without routing is refused.

    :raises ConfigInvalid: a column has the name of a field that isn't free, or the tenant's column
        is mapped to something that can't be filtered by.
    """
    properties: dict[str, Any] = {}
    for column in shape.columns:
        _check_name(column.name, shape)
        properties[column.name] = _field(column, shape, engine, options.text)
        if shape.offload is not None and column.kind is ColumnKind.JSON:
            properties[column.name + OFFLOADED] = dict(_TEXTS[options.text])
    half = {"type": "long", "index": False}
    properties[FINGERPRINT] = {"properties": {"high": half, "low": dict(half)}}
    for name, definition in shape.stream.fields.items():
        if name in properties:
            properties[name] = dict(definition)
    if layout is Layout.SHARED:
        tenant = shape.stream.tenant_column
        properties[tenant] = _tenant_field(shape.stream.fields.get(tenant, _KEYWORD), shape)
    settings: dict[str, Any] = {
        "number_of_shards": options.shards,
        "number_of_replicas": options.replicas,
        "refresh_interval": options.refresh_interval,
        "mapping.total_fields.limit": options.total_fields,
    }
    if options.codec is not None:
        settings["codec"] = options.codec
    routing = {"_routing": {"required": True}} if layout is Layout.SHARED else {}
    return {
        "mappings": {
            **routing,
            "dynamic": False,
            # Fields of an ``object`` column must not turn into dates by looking like one.
            "date_detection": False,
            "properties": properties,
        },
        "settings": {"index": settings},
    }


def _field(column: Column, shape: StreamShape, engine: Engine, text: TextIndex) -> dict[str, Any]:
    stream = shape.stream
    if column.name == stream.key:
        return dict(_KEYWORD)
    if column.name == stream.event_time:
        return dict(_DATE)
    if column.kind is ColumnKind.JSON and column.json_mode is JsonMode.OBJECT:
        return dict(_OBJECT)
    if column.kind is ColumnKind.JSON and column.json_mode is JsonMode.FLAT_OBJECT:
        return dict(_FLAT[engine])
    if column.kind in (ColumnKind.TEXT, ColumnKind.JSON):
        return dict(_TEXTS[text])
    return dict(_BY_KIND[column.kind])


def _tenant_field(definition: Mapping[str, Any], shape: StreamShape) -> dict[str, Any]:
    stream = shape.stream
    exact = (
        definition.get("type") == "keyword"
        and definition.get("index", True) is True
        and "normalizer" not in definition
        and int(definition.get("ignore_above", IGNORE_ABOVE)) >= MAX_TENANT_BYTES
    )
    if not exact:
        raise ConfigInvalid(
            f"the layout `shared` filters by {stream.tenant_column}, which needs an exact keyword",
            where=f"stream {stream.name}, fields.{stream.tenant_column}",
            next_step="leave this field out of `fields`, or set `layout` to `per_tenant`",
        )
    return dict(definition)


def _check_name(name: str, shape: StreamShape) -> None:
    taken = {FINGERPRINT} | _METADATA
    if shape.offload is not None:
        taken |= {c.name + OFFLOADED for c in shape.columns if c.kind is ColumnKind.JSON}
    if name in taken:
        raise ConfigInvalid(
            f"column {name} has the name of a field that the index needs for itself",
            where=f"stream {shape.stream.name}",
            next_step="give the stream a view that renames the column",
        )
