from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import TargetBlocked, TargetRefused
from airflow_provider_logmigrate.stores.search.client import SearchClient
from airflow_provider_logmigrate.stores.search.index import put_settings
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.unit.stores.search.building import VERSION, chunk, document, numbered, plan


def hits(client: SearchClient, index: str, query: dict[str, Any]) -> int:
    body = {"query": query, "track_total_hits": True, "size": 0}
    found = client.request("POST", f"/{index}/_search", body=body)
    return int(found.data["hits"]["total"]["value"])


def test_one_mapping_conflict_among_ten_thousand(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    documents = numbered(10_000)
    wrong = document(5_000, inputs={"an": "object where text is mapped"})
    documents[5_000] = (wrong["id"], wrong)
    target.prepare(unit)
    result = target.write(unit, chunk(documents), stop=Stop())
    target.finish(unit)
    assert result.acknowledged == 9_999
    assert result.superseded == 0
    (rejected,) = result.rejected
    assert rejected.key == wrong["id"]
    assert rejected.status == 400
    assert "inputs" in rejected.reason
    assert json.loads(rejected.document) == wrong
    assert hits(client, unit.index, {"match_all": {}}) == 9_999
    assert hits(client, unit.index, {"match": {"inputs": "4711"}}) == 1


def test_keys_the_engine_refuses_do_not_take_others_along(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    long = "k" * 513
    documents = [*numbered(20), (long, document(20)), *numbered(20, first=21), ("", document(41))]
    target.prepare(unit)
    result = target.write(unit, chunk(documents), stop=Stop())
    assert result.acknowledged == 40
    assert sorted(r.key for r in result.rejected) == ["", long]
    assert all(r.status == 400 and r.reason for r in result.rejected)


def test_older_after_newer_is_superseded_and_changes_nothing(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    newer, older = document(1, status="new"), document(1, status="old")
    key = newer["id"]
    target.prepare(unit)
    first = target.write(unit, chunk([(key, newer)], VERSION + 5), stop=Stop())
    late = target.write(unit, chunk([(key, older)], VERSION), stop=Stop())
    assert (first.acknowledged, first.superseded) == (1, 0)
    assert (late.acknowledged, late.superseded, late.rejected) == (1, 1, ())
    assert [d["status"] for _, d in target.get(unit, [key])] == ["new"]
    again = target.write(unit, chunk([(key, newer)], VERSION + 5), stop=Stop())
    assert (again.acknowledged, again.superseded) == (1, 0)


def test_a_flood_stage_block_stops_with_the_reason(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    put_settings(client, unit.index, {"blocks.read_only_allow_delete": True})
    with pytest.raises(TargetBlocked, match="read-only-allow-delete") as caught:
        target.write(unit, chunk(numbered(3)), stop=Stop())
    assert unit.index in str(caught.value)
    assert "free disk space" in str(caught.value)
    put_settings(client, unit.index, {"blocks.read_only_allow_delete": None})
    assert target.write(unit, chunk(numbered(3)), stop=Stop()).acknowledged == 3


def test_a_write_block_stops_too(client: SearchClient, target: SearchTarget, tenant: str) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    put_settings(client, unit.index, {"blocks.write": True})
    with pytest.raises(TargetBlocked):
        target.write(unit, chunk(numbered(3)), stop=Stop())


def test_an_index_deleted_in_the_middle_is_noticed(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    client.request("DELETE", f"/{unit.index}")
    with pytest.raises(TargetRefused, match="deleted during the copy"):
        target.finish(unit)


HOSTILE = [
    b'{"id":"h0","created_at":"infinity","price":"NaN","seconds":"-Infinity","steps":1}',
    b'{"id":"h1","created_at":"12025-01-05T00:00:00+00:00","price":1e400,"steps":2}',
    b'{"id":"h2","created_at":"0044-03-15T00:00:00 BC","steps":3,'
    b'"price":0.1000000000000000055511151}',
    b'{"id":"h3","created_at":"2025-01-05T00:00:00.123456+00:00",'
    b'"price":12345678901234567890123456789.123456789,"steps":4}',
    b'{"id":"h4","created_at":"2025-01-05T00:00:00+00:00","inputs":'
    b'"{\\"a\\" :  1.10, \\"a\\":2}\\n{\\"index\\":{}}\\n '
    b'\xe2\x80\xa8 \\u0001 \xf0\x9f\x98\x80","steps":5}',
    b'{"id":"h5","created_at":null,"status":"' + b"s" * 40_000 + b'","steps":6}',
    b'{"id":"h6","created_at":"2025-01-05T00:00:00+00:00",'
    b'"unknown":{"deep":[1,{"x":null}]},"steps":7}',
    b'{"id":"h7","created_at":"2025-01-05T00:00:00+00:00","steps":"not a number","price":[1,2]}',
]


def test_hostile_values_are_indexed_and_kept_byte_for_byte(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    documents = [(f"h{n}", source) for n, source in enumerate(HOSTILE)]
    result = target.write(unit, chunk(documents), stop=Stop())
    target.finish(unit)
    assert [(r.key, r.reason) for r in result.rejected] == []
    assert result.acknowledged == len(HOSTILE)
    (base,) = client.endpoint.hosts
    with httpx.Client(trust_env=False) as http:
        for key, source in documents:
            assert http.get(f"{base}/{unit.index}/_source/{key}").content == source
    assert hits(client, unit.index, {"range": {"steps": {"gte": 1}}}) == len(HOSTILE) - 1
    # Numbers come back as they were written, not as the nearest double.
    ((_, found),) = target.get(unit, ["h3"])
    assert str(found["price"]) == "12345678901234567890123456789.123456789"
