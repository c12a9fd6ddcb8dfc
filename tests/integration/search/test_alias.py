from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.cutover import AliasAction, plan_swap
from airflow_provider_logmigrate.core.errors import (
    IndexConflict,
    TargetRefused,
    TargetUnavailable,
)
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.stores.search.alias import apply, current_aliases
from airflow_provider_logmigrate.stores.search.client import Endpoint, SearchClient, connect
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.integration.search.gateway import Answer, Gateway, running
from tests.unit.stores.search.building import chunk, numbered, plan

if TYPE_CHECKING:
    from devstack.engine import SearchEngine


def two_versions(
    client: SearchClient, target: SearchTarget, tenant: str
) -> tuple[UnitPlan, UnitPlan]:
    """Version 1 with one document, version 2 with two."""
    units = plan(client.engine, tenant), plan(client.engine, tenant, version=2)
    for count, unit in enumerate(units, start=1):
        target.prepare(unit)
        target.write(unit, chunk(numbered(count)), stop=Stop())
        target.finish(unit)
    return units


def test_a_swap_and_its_exact_inverse(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    one, two = two_versions(client, target, tenant)
    names = [one.alias, one.tenant_alias]
    first = plan_swap([one], current={}, indices=frozenset())
    apply(client, first.actions)
    before, indices = current_aliases(client, names)
    assert before == {name: {one.index: None} for name in names}
    assert indices == frozenset()
    second = plan_swap([two], current=before, indices=indices)
    apply(client, second.actions)
    assert current_aliases(client, names)[0] == {name: {two.index: None} for name in names}
    apply(client, second.inverse)
    assert current_aliases(client, names)[0] == before
    apply(client, first.inverse)
    assert current_aliases(client, names) == ({}, frozenset())


def test_readers_never_see_a_gap_or_both(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    one, two = two_versions(client, target, tenant)
    there = [AliasAction("remove", one.index, one.alias), AliasAction("add", two.index, one.alias)]
    back = [action.inverse() for action in reversed(there)]
    apply(client, [AliasAction("add", one.index, one.alias)])
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            answer = client.request("GET", f"/{one.alias}/_count", expected=(404,))
            seen.append(answer.data.get("count", -answer.status))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(15):
            apply(client, there)
            apply(client, back)
    finally:
        done.set()
        reader.join()
    assert set(seen) == {1, 2}


def test_a_swap_that_does_not_fit_any_more_changes_nothing(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    one, two = two_versions(client, target, tenant)
    apply(client, [AliasAction("add", one.index, one.alias)])
    with pytest.raises(TargetRefused, match="missing"):
        apply(
            client,
            [
                AliasAction("add", two.index, two.alias),
                AliasAction("remove", two.index, two.tenant_alias),
            ],
        )
    assert current_aliases(client, [one.alias, one.tenant_alias])[0] == {
        one.alias: {one.index: None}
    }


def test_an_alias_of_a_missing_index_is_refused(client: SearchClient, tenant: str) -> None:
    unit = plan(client.engine, tenant)
    with pytest.raises(TargetRefused):
        apply(client, [AliasAction("add", unit.index, unit.alias)])


def test_indices_among_the_names_are_told_apart(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    client.request("PUT", f"/{unit.tenant_alias}", body={})
    apply(client, [AliasAction("add", unit.index, unit.alias)])
    found = current_aliases(client, [unit.alias, unit.tenant_alias, unit.index, f"{unit.index}9"])
    assert found == (
        {unit.alias: {unit.index: None}},
        frozenset({unit.tenant_alias, unit.index}),
    )
    with pytest.raises(IndexConflict):
        plan_swap([unit], current=found[0], indices=found[1])


def test_more_names_than_fit_into_one_request(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    names = [f"{unit.alias}-{'x' * 120}-{n}" for n in range(60)]
    apply(client, [AliasAction("add", unit.index, name) for name in names[:50]])
    found, indices = current_aliases(client, names)
    assert found == {name: {unit.index: None} for name in names[:50]}
    assert indices == frozenset()


@pytest.mark.parametrize(
    "options",
    [
        {"filter": {"term": {"status": "x"}}},
        {"routing": "r"},
        {"is_write_index": True},
        {"filter": {"term": {"status": "x"}}, "index_routing": "a", "search_routing": "b"},
        {"filter": {"term": {"status": "x"}}, "index_routing": "a", "search_routing": "a,b"},
        {"filter": {"term": {"steps": 1}}, "routing": "r"},
        {"filter": {"match_all": {}}, "routing": "r"},
        {"filter": {"term": {"status": "x"}}, "routing": "r", "is_write_index": True},
    ],
)
def test_an_alias_that_a_swap_would_not_restore_is_refused(
    client: SearchClient, target: SearchTarget, tenant: str, options: dict[str, object]
) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    add = {"index": unit.index, "alias": unit.alias, **options}
    client.request("POST", "/_aliases", body={"actions": [{"add": add}]})
    with pytest.raises(IndexConflict, match="a swap would lose"):
        current_aliases(client, [unit.alias])


def test_what_an_alias_shows_is_read_back_with_it(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    """An alias of the right name that shows everything isn't what was asked for."""
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    part = Share("tenant_id", tenant, tenant)
    shown = AliasAction("add", unit.index, unit.alias, part)
    apply(client, [shown])
    assert current_aliases(client, [unit.alias])[0] == {unit.alias: {unit.index: part}}

    def whole(path: str, body: bytes) -> Answer | None:
        if path != "/_aliases":
            return None
        add = {"index": unit.index, "alias": unit.alias}
        client.request("POST", path, body={"actions": [{"add": add}]})
        return 200, "application/json", b'{"acknowledged":true}'

    with running(Gateway(target.client.endpoint.hosts[0], intercept=whole)) as gateway:
        through = connect(Endpoint(engine=client.engine, hosts=(gateway.url,)))
        with pytest.raises(TargetUnavailable, match="it doesn't hold"):
            apply(through, [shown])


def test_no_actions_are_no_request(client: SearchClient) -> None:
    apply(client, [])


@pytest.mark.parametrize("carried_out", [True, False])
def test_an_answer_that_is_lost_is_read_back(
    search_engine: SearchEngine,
    client: SearchClient,
    target: SearchTarget,
    tenant: str,
    carried_out: bool,
) -> None:
    one, two = two_versions(client, target, tenant)
    apply(client, [AliasAction("add", one.index, one.alias)])
    swap = [AliasAction("remove", one.index, one.alias), AliasAction("add", two.index, one.alias)]

    def lose(path: str, body: bytes) -> Answer | None:
        if path != "/_aliases":
            return None
        if carried_out:
            client.request("POST", path, body=body)
        return 0, "application/json", b'{"ackn'

    with running(Gateway(search_engine.url, intercept=lose)) as gateway:
        through = connect(Endpoint(engine=client.engine, hosts=(gateway.url,)))
        if carried_out:
            apply(through, swap)
        else:
            with pytest.raises(TargetUnavailable, match="did not confirm"):
                apply(through, swap)
        assert gateway.paths.count("/_aliases") == 1
    kept = two.index if carried_out else one.index
    assert current_aliases(client, [one.alias])[0] == {one.alias: {kept: None}}
