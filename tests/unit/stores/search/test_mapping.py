from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.layout import Layout
from airflow_provider_logmigrate.core.stream import (
    Column,
    ColumnKind,
    JsonMode,
    StreamShape,
    TextIndex,
)
from airflow_provider_logmigrate.stores.search.endpoint import Engine
from airflow_provider_logmigrate.stores.search.mapping import IndexOptions, index_body
from tests.unit.stores.search.building import STREAM, shape


def test_every_column_is_mapped_and_nothing_else_can_come_in() -> None:
    mappings = index_body(shape(), IndexOptions(), engine=Engine.OPENSEARCH)["mappings"]
    types = {name: field.get("type") for name, field in mappings["properties"].items()}
    assert mappings["dynamic"] is False
    assert types == {
        "created_at": "date",
        "error": "text",
        "id": "keyword",
        "inputs": "text",
        "inputs_offloaded": "text",
        "logmigrate": None,
        "ok": "boolean",
        "outputs": "flat_object",
        "outputs_offloaded": "text",
        "price": "double",
        "seconds": "double",
        "status": "keyword",
        "steps": "long",
        "tags": "keyword",
        "tenant_id": "keyword",
    }


def test_the_engines_differ_in_one_field_type() -> None:
    one, other = (
        index_body(shape(), IndexOptions(), engine=engine)["mappings"]["properties"]
        for engine in Engine
    )
    assert [name for name in one if one[name] != other[name]] == ["outputs"]
    assert other["outputs"]["type"] == "flattened"


def test_json_modes() -> None:
    def outputs(mode: JsonMode) -> str:
        body = index_body(shape(mode=mode), IndexOptions(), engine=Engine.OPENSEARCH)
        return str(body["mappings"]["properties"]["outputs"]["type"])

    assert outputs(JsonMode.TEXT) == "text"
    assert outputs(JsonMode.OBJECT) == "object"


def test_long_texts_are_indexed_as_wanted_and_nothing_else_changes() -> None:
    def mapped(text: TextIndex) -> dict[str, Any]:
        of = shape(mode=JsonMode.TEXT, stream=replace(STREAM, fields={"error": {"type": "text"}}))
        body = index_body(of, IndexOptions(text=text), engine=Engine.OPENSEARCH)
        return dict(body["mappings"]["properties"])

    full, stored = mapped(TextIndex.FULL), mapped(TextIndex.STORED)
    texts = ["inputs", "inputs_offloaded", "outputs", "outputs_offloaded"]
    assert [name for name in full if full[name] != stored[name]] == texts
    assert all(stored[name] == {"type": "text", "index": False} for name in texts)
    assert mapped(TextIndex.MATCH_ONLY)["inputs"] == {"type": "match_only_text"}


def test_a_stream_s_own_field_definition_wins() -> None:
    stream = replace(STREAM, fields={"error": {"type": "keyword"}, "not_there": {"type": "long"}})
    body = index_body(shape(stream=stream), IndexOptions(), engine=Engine.OPENSEARCH)
    assert body["mappings"]["properties"]["error"] == {"type": "keyword"}
    assert "not_there" not in body["mappings"]["properties"]


def test_a_numeric_key_is_a_keyword_all_the_same() -> None:
    stream = replace(STREAM, key="steps")
    body = index_body(shape(stream=stream), IndexOptions(), engine=Engine.OPENSEARCH)
    assert body["mappings"]["properties"]["steps"]["type"] == "keyword"


def test_settings() -> None:
    options = IndexOptions(shards=3, replicas=2, refresh_interval="5s", codec="best_compression")
    body = index_body(shape(), options, engine=Engine.OPENSEARCH)
    assert body["settings"] == {
        "index": {
            "number_of_shards": 3,
            "number_of_replicas": 2,
            "refresh_interval": "5s",
            "mapping.total_fields.limit": 2000,
            "codec": "best_compression",
        }
    }


@pytest.mark.parametrize("name", ["logmigrate", "_id", "_source", "inputs_offloaded"])
def test_a_column_can_not_take_a_field_that_is_needed(name: str) -> None:
    plain = shape()
    taken = replace(plain, columns=(*plain.columns, Column(name, ColumnKind.TEXT, "text")))
    with pytest.raises(ConfigInvalid, match=name):
        index_body(taken, IndexOptions(), engine=Engine.OPENSEARCH)


def shared_mapping(shape: StreamShape) -> dict[str, Any]:
    body = index_body(shape, IndexOptions(), engine=Engine.OPENSEARCH, layout=Layout.SHARED)
    mappings: dict[str, Any] = body["mappings"]
    return mappings


@pytest.mark.parametrize("kind", [ColumnKind.TEXT, ColumnKind.INTEGER, ColumnKind.UUID])
def test_a_shared_index_can_be_filtered_by_tenant(kind: ColumnKind) -> None:
    columns = (*shape().columns[:-1], Column("tenant_id", kind, "any"))
    mappings = shared_mapping(replace(shape(), columns=columns))
    assert mappings["_routing"] == {"required": True}
    assert mappings["properties"]["tenant_id"] == {"type": "keyword", "ignore_above": 1024}
    own = {"type": "keyword", "doc_values": False}
    stream = replace(STREAM, fields={"tenant_id": own})
    assert shared_mapping(shape(stream=stream))["properties"]["tenant_id"] == own
    alone = index_body(shape(), IndexOptions(), engine=Engine.OPENSEARCH)["mappings"]
    assert "_routing" not in alone


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "text"},
        {"type": "keyword", "index": False},
        {"type": "keyword", "normalizer": "lowercase"},
        {"type": "keyword", "ignore_above": 20},
    ],
)
def test_a_tenant_s_field_that_cannot_be_filtered_by(definition: dict[str, Any]) -> None:
    stream = replace(STREAM, fields={"tenant_id": definition})
    index_body(shape(stream=stream), IndexOptions(), engine=Engine.OPENSEARCH)
    with pytest.raises(ConfigInvalid, match=r"fields.tenant_id\]. Next: leave"):
        shared_mapping(shape(stream=stream))
