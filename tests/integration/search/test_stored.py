"""Documents as they were stored, to the byte, on both engines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import TargetRefused
from airflow_provider_logmigrate.stores.search import stored as module
from airflow_provider_logmigrate.stores.search.client import SearchClient
from airflow_provider_logmigrate.stores.search.mapping import IndexOptions
from airflow_provider_logmigrate.stores.search.stored import stored
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.unit.stores.search.building import chunk, document, numbered, plan

ODD = [
    b'{ "id" : "a","steps":1.0,  "price": 0.10000000000000000000001, "seconds":1E+2 }',
    b'{"id":"b","error":"\\u00e4\\/ \\ud83d\\ude00 \xf0\x9f\x98\x80 \xe7\x9f\xa5\\u0000\\t"}',
    b'{"outputs":{"b":1,"a":[true,null,{}]},"id":"c","created_at":"infinity"}',
    b'{"id":"d","unknown":{"deep":[[[[1]]]]},"steps":"no number"}',
    b"{}",
]


def test_bytes_come_back_as_they_went(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    keys = ["a b", 'q"\\/', "ключ", "*", "d,e"]
    documents: list[tuple[str, Any]] = list(zip(keys, ODD, strict=True))
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    assert target.write(unit, chunk(documents), stop=Stop()).acknowledged == len(ODD)
    target.finish(unit)
    assert target.stored(unit, [*keys, "missing", "q"]) == dict(documents)
    assert target.stored(unit, []) == {}


@pytest.mark.parametrize("shards", [1, 3])
def test_more_keys_than_a_page(
    client: SearchClient,
    target: SearchTarget,
    tenant: str,
    shards: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unit = plan(client.engine, tenant, options=IndexOptions(shards=shards))
    documents = numbered(50)
    target.prepare(unit)
    target.write(unit, chunk(documents), stop=Stop())
    target.finish(unit)
    monkeypatch.setattr(module, "PAGE", 7)
    keys = [key for key, _ in documents]
    found = target.stored(unit, [*keys, *keys[:3]])
    assert {key: json.loads(text) for key, text in found.items()} == dict(documents)


def test_an_index_that_is_gone_is_no_empty_answer(client: SearchClient, tenant: str) -> None:
    with pytest.raises(TargetRefused, match="no such index"):
        stored(client, f"never-made-{tenant}", ["a"])


def test_an_index_that_keeps_no_source_gives_nothing_that_could_be_equal(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    unit.body["mappings"]["_source"] = {"enabled": False}
    target.prepare(unit)
    target.write(unit, chunk([("k", document(1, id="k"))]), stop=Stop())
    target.finish(unit)
    assert target.stored(unit, ["k"]) == {"k": b""}
