"""How long texts are indexed: the choices of ``index.text`` on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import TargetRefused
from airflow_provider_logmigrate.core.stream import TextIndex
from airflow_provider_logmigrate.stores.search.client import Engine, SearchClient
from airflow_provider_logmigrate.stores.search.mapping import IndexOptions
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.unit.stores.search.building import chunk, document, plan


@pytest.mark.parametrize("text", list(TextIndex))
def test_what_a_phrase_finds(
    client: SearchClient, target: SearchTarget, tenant: str, text: TextIndex
) -> None:
    unit = plan(client.engine, tenant, options=IndexOptions(text=text))
    documents: list[tuple[str, Any]] = [
        ("a", document(1, id="a", inputs='{"question": "where is the gearbox drawing?"}')),
        ("b", document(2, id="b", inputs='{"question": "a drawing of the gearbox"}')),
    ]
    if text is TextIndex.MATCH_ONLY and client.engine is Engine.ELASTICSEARCH:
        # The test's Elasticsearch lacks the module, as an OpenSearch before 2.12 does.
        with pytest.raises(TargetRefused, match=r"match_only_text"):
            target.prepare(unit)
        return
    target.prepare(unit)
    assert target.write(unit, chunk(documents), stop=Stop()).acknowledged == 2
    target.finish(unit)
    answer = client.request(
        "POST",
        f"/{unit.index}/_search",
        body={"query": {"match_phrase": {"inputs": "gearbox drawing"}}},
        expected=(400,),
    )
    if text is TextIndex.STORED:
        # OpenSearch and Elasticsearch 9 refuse such a query, earlier ones find nothing.
        hits = answer.data["hits"]["hits"] if answer.status == 200 else []
        assert hits == []
    else:
        assert [hit["_id"] for hit in answer.data["hits"]["hits"]] == ["a"]
    assert target.stored(unit, ["a"]).keys() == {"a"}
