from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from airflow_provider_logmigrate.core.errors import TargetRefused, TemplateConflict
from airflow_provider_logmigrate.core.naming import IndexNames
from airflow_provider_logmigrate.stores.search import template
from airflow_provider_logmigrate.stores.search.client import SearchClient
from airflow_provider_logmigrate.stores.search.mapping import IndexOptions, index_body
from tests.unit.stores.search.building import shape


@pytest.fixture
def names(client: SearchClient) -> Iterator[IndexNames]:
    names = IndexNames(f"p{secrets.token_hex(4)}", "runs")
    yield names
    found = client.request("GET", "/_index_template").data["index_templates"]
    for record in found:
        if record["name"].startswith(names.prefix):
            client.request("DELETE", f"/_index_template/{record['name']}")
    for index in client.request("GET", "/_all/_settings").data:
        if index.startswith(names.prefix):
            client.request("DELETE", f"/{index}")


def exists(client: SearchClient, name: str) -> bool:
    return client.request("GET", f"/_index_template/{name}", expected=(404,)).status == 200


def test_checking_writes_nothing_and_putting_twice_is_harmless(
    client: SearchClient, names: IndexNames
) -> None:
    body = index_body(shape(), IndexOptions(), engine=client.engine)
    template.check(client, names.template, [names.pattern], body)
    assert not exists(client, names.template)
    for _ in range(2):
        template.put(client, names.template, [names.pattern], body)
        template.check(client, names.template, [names.pattern], body)
    assert exists(client, names.template)
    index = names.index("t1", "2025-02", 1)
    client.request("PUT", f"/{index}")
    mapped = client.request("GET", f"/{index}/_mapping").data[index]["mappings"]
    assert set(mapped["properties"]) == set(body["mappings"]["properties"])


def test_an_overlap_of_the_same_priority_names_the_other_template(
    client: SearchClient, names: IndexNames
) -> None:
    body = index_body(shape(), IndexOptions(), engine=client.engine)
    other = f"{names.prefix}-theirs"
    theirs = {"index_patterns": [f"{names.prefix}-*"], "priority": template.PRIORITY}
    client.request("PUT", f"/_index_template/{other}", body=theirs)
    for act in (template.check, template.put):
        with pytest.raises(TemplateConflict, match=other):
            act(client, names.template, [names.pattern], body)
    assert not exists(client, names.template)


def test_another_priority_is_no_conflict(client: SearchClient, names: IndexNames) -> None:
    body = index_body(shape(), IndexOptions(), engine=client.engine)
    theirs = {"index_patterns": [f"{names.prefix}-*"], "priority": template.PRIORITY - 1}
    client.request("PUT", f"/_index_template/{names.prefix}-theirs", body=theirs)
    template.check(client, names.template, [names.pattern], body)


def test_somebody_else_s_template_of_our_name_is_left_alone(
    client: SearchClient, names: IndexNames
) -> None:
    body = index_body(shape(), IndexOptions(), engine=client.engine)
    theirs = {"index_patterns": [f"{names.prefix}-x"], "priority": 1}
    client.request("PUT", f"/_index_template/{names.template}", body=theirs)
    for act in (template.check, template.put):
        with pytest.raises(TemplateConflict, match="isn't ours"):
            act(client, names.template, [names.pattern], body)


def test_a_mapping_the_engine_refuses(client: SearchClient, names: IndexNames) -> None:
    body = index_body(shape(), IndexOptions(), engine=client.engine)
    body["mappings"]["properties"]["x"] = {"type": "no_such_type"}
    with pytest.raises(TargetRefused, match="no_such_type"):
        template.check(client, names.template, [names.pattern], body)
