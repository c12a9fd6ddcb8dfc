"""Many tenants in one index: what each sees, what its proof counts, and what nobody can disturb."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.cutover import plan_swap
from airflow_provider_logmigrate.core.errors import IndexConflict, TargetRefused
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.naming import MAX_TENANT_BYTES, IndexNames
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import WriteResult
from airflow_provider_logmigrate.core.stream import Column, ColumnKind
from airflow_provider_logmigrate.stores.search.alias import apply, current_aliases
from airflow_provider_logmigrate.stores.search.bulk import BulkWriter
from airflow_provider_logmigrate.stores.search.client import Engine, SearchClient, path
from airflow_provider_logmigrate.stores.search.index import put_settings, read, versions
from airflow_provider_logmigrate.stores.search.mapping import IndexOptions
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.integration.search.conftest import target_of
from tests.unit.stores.search.building import START, chunk, document, plan, shape

HOSTILE = [
    "*", "a,b", 'a"b', "a' OR '1'='1", "2025", "2025.01", "x-2025.01-v1", "ÄÖ€\U0001f600",
    "<now/d>", "A", "a", "x" * MAX_TENANT_BYTES,
]  # fmt: skip

SHAPE = replace(
    shape(),
    columns=tuple(
        Column("tenant_id", ColumnKind.TEXT, "text") if column.name == "tenant_id" else column
        for column in shape().columns
    ),
)


class Index:
    """Units of one shared index with names of its own."""

    def __init__(self, client: SearchClient, shards: int) -> None:
        self.client, self.names = client, IndexNames(f"s{secrets.token_hex(5)}", "runs")
        self.options = IndexOptions(shards=shards, refresh_interval="60s")

    def unit(self, tenant: str, **changes: Any) -> UnitPlan:
        values: dict[str, Any] = {"options": self.options, "of": SHAPE, "shared": True}
        return plan(self.client.engine, tenant, names=self.names, **values | changes)

    def show(self, *units: UnitPlan) -> None:
        """Let readers see the units."""
        names = [name for unit in units for name in (unit.alias, unit.tenant_alias)]
        current, indices = current_aliases(self.client, names)
        apply(self.client, plan_swap(units, current=current, indices=indices).actions)

    def state(self, unit: UnitPlan) -> Any:
        found = read(self.client, unit.index)
        assert found is not None
        return found

    def remove(self) -> None:
        for name in self.client.request("GET", "/_all/_settings").data:
            if name.startswith(f"{self.names.prefix}-"):
                self.client.request("DELETE", f"/{name}")


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
def common(client: SearchClient, request: pytest.FixtureRequest) -> Iterator[Index]:
    index = Index(client, request.param)
    yield index
    index.remove()


@pytest.fixture
def single(client: SearchClient) -> Iterator[Index]:
    """One shard, where routing keeps nobody apart."""
    index = Index(client, 1)
    yield index
    index.remove()


def documents_of(tenant: str, count: int, *, first: int = 0) -> list[tuple[str, Any]]:
    mark = f"{tenant[:20]}/"
    return [
        (f"{mark}{n:03d}", document(n, id=f"{mark}{n:03d}", tenant_id=tenant))
        for n in range(first, first + count)
    ]


def load(target: SearchTarget, unit: UnitPlan, documents: list[tuple[str, Any]]) -> None:
    target.prepare(unit)
    assert target.write(unit, chunk(documents), stop=Stop()).acknowledged == len(documents)
    target.finish(unit)


def write_as(
    client: SearchClient, unit: UnitPlan, routing: str | None, documents: list[tuple[str, Any]]
) -> WriteResult:
    """Write straight into the index under any routing, as only a stranger would."""
    from airflow_provider_logmigrate.core.backoff import Backoff

    writer = BulkWriter(client, rng=random.Random(1), backoff=Backoff(attempts=2))
    return writer.write(unit.index, chunk(documents), Stop(), routing=routing)


def hits(client: SearchClient, alias: str, **body: Any) -> list[dict[str, Any]]:
    data = client.request("POST", f"/{alias}/_search", body={"size": 1000, **body}).data
    found: list[dict[str, Any]] = data["hits"]["hits"]
    return found


def test_a_tenant_s_aliases_show_its_documents_only(common: Index) -> None:
    client, target = common.client, target_of(common.client)
    units = {tenant: common.unit(tenant) for tenant in HOSTILE}
    assert len({unit.index for unit in units.values()}) == 1
    for number, (tenant, unit) in enumerate(units.items(), start=3):
        load(target, unit, documents_of(tenant, number))
    common.show(*units.values())
    for number, (tenant, unit) in enumerate(units.items(), start=3):
        mine = {key for key, _ in documents_of(tenant, number)}
        theirs = sorted(k for t in HOSTILE if t != tenant for k, _ in documents_of(t, 3))
        for alias in (unit.alias, unit.tenant_alias):
            assert {hit["_id"] for hit in hits(client, alias)} == mine
            assert client.request("GET", f"/{alias}/_count").data["count"] == number
            wanted = {"ids": {"values": [*theirs, *mine]}}
            assert {hit["_id"] for hit in hits(client, alias, query=wanted)} == mine
            aggregated = client.request(
                "POST",
                f"/{alias}/_search",
                body={
                    "size": 0,
                    "query": {"match_none": {}},
                    "aggs": {
                        "all": {
                            "global": {},
                            "aggs": {"tenants": {"terms": {"field": "tenant_id", "size": 100}}},
                        }
                    },
                },
            ).data["aggregations"]["all"]["tenants"]["buckets"]
            assert [(b["key"], b["doc_count"]) for b in aggregated] == [(tenant, number)]
        assert client.request("POST", f"/{unit.alias}/_mget", body={"ids": sorted(mine)[:1]}).data[
            "docs"
        ][0]["found"]


def test_reads_by_id_are_the_engines_exception(common: Index) -> None:
    """Neither engine filters them: kept apart by the shard alone. The documentation says so."""
    client, target = common.client, target_of(common.client)
    a, b = common.unit("a"), common.unit("b")
    for unit in (a, b):
        load(target, unit, documents_of(unit.unit.tenant, 3))
    common.show(a, b)
    answer = client.request("POST", f"/{a.alias}/_mget", body={"ids": ["b/000"]}).data["docs"]
    apart = common.options.shards > 1 and not answer[0]["found"]
    assert answer[0]["found"] or apart
    assert hits(client, a.alias, query={"ids": {"values": ["b/000"]}}) == []


def test_writes_with_another_or_no_routing_are_refused(single: Index) -> None:
    client, target = single.client, target_of(single.client)
    a, b = single.unit("a"), single.unit("b")
    for unit in (a, b):
        load(target, unit, documents_of(unit.unit.tenant, 2))
    single.show(a, b)
    with pytest.raises(TargetRefused, match="index routing"):
        client.request("PUT", f"/{a.alias}/_doc/new", params={"routing": "b"}, body={})
    with pytest.raises(TargetRefused, match="routing is required"):
        client.request("PUT", f"/{a.index}/_doc/new", body={})
    result = write_as(client, a, None, documents_of("a", 2))
    assert result.acknowledged == 0
    assert {r.kind for r in result.rejected} == {"routing_missing_exception"}
    assert target.summarise(a).total.count == target.summarise(b).total.count == 2
    for unit in (a, b):
        ((key, found),) = target.get(unit, [f"{unit.unit.tenant}/000"])
        assert found["id"] == key


def test_a_proof_counts_the_tenant_s_documents_only(single: Index) -> None:
    target = target_of(single.client)
    a, b = single.unit("a"), single.unit("b")
    mine = documents_of("a", 30)
    load(target, a, mine)
    alone = target.summarise(a)
    keys = list(target.keys(a, hours=[START]))
    sample = target.sample(a, size=10, seed=3)
    late = [(k, {**d, "created_at": "2025-01-31T23:00:00+00:00"}) for k, d in documents_of("b", 5)]
    odd = [("b/odd", document(1, id="b/odd", tenant_id="b", created_at=None))]
    load(target, b, late + odd)
    assert target.summarise(a) == alone
    assert (alone.total.count, alone.outside) == (30, 0)
    assert list(target.keys(a, hours=[START])) == keys
    assert len(keys) == 9
    assert target.sample(a, size=10, seed=3) == sample
    assert {key for key, _ in target.sample(a, size=100, seed=3)} == {key for key, _ in mine}
    assert [k for k, _ in target.get(a, ["a/001", "b/001", "a/000"])] == ["a/001", "a/000"]
    assert (target.summarise(b).total.count, target.summarise(b).outside) == (5, 1)
    assert set(target.stored(a, ["a/001", "a/999"])) == {"a/001"}


def test_a_document_under_another_tenant_s_routing_is_found(common: Index) -> None:
    """It is a tenant's by its own column, wherever it lies: as an extra one, or as the same twice.

    In one shard an id exists once, so there the second write replaces the first.
    """
    client, target = common.client, target_of(common.client)
    tenants = [f"t{n}" for n in range(8)]
    units = [common.unit(tenant) for tenant in tenants]
    for unit in units:
        load(target, unit, documents_of(unit.unit.tenant, 2))
    mine = units[0]
    for other in units[1:]:
        extra = document(0, id=f"extra-{other.unit.tenant}", tenant_id="t0")
        again = dict(documents_of("t0", 1)[0][1])
        write_as(client, mine, other.routing, [(extra["id"], extra), (again["id"], again)])
    target.finish(mine)
    listed = [found.key for found in target.keys(mine, hours=[START])]
    assert {key for key in listed if key.startswith("extra-")} == {
        f"extra-{t}" for t in tenants[1:]
    }
    copies = listed.count("t0/000")
    # Eight routings over three shards: in at least one other shard, almost never in none.
    assert copies == 1 if common.options.shards == 1 else copies in (1, 2, 3)
    assert target.summarise(mine).total.count == 2 + 7 + copies - 1
    sampled = {key for key, _ in target.sample(mine, size=100, seed=1)}
    assert {key for key in sampled if key.startswith("extra-")} == {
        f"extra-{t}" for t in tenants[1:]
    }
    assert [target.summarise(unit).total.count for unit in units[1:]] == [2] * 7


def test_many_tenants_load_one_index_at_once(single: Index) -> None:
    client = single.client
    units = [single.unit(f"t{n}") for n in range(8)]

    def work(unit: UnitPlan) -> None:
        number = int(unit.unit.tenant[1:])
        load(target_of(client), unit, documents_of(unit.unit.tenant, 5, first=100 * number))

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, unit) for unit in random.Random(4).sample(units, k=8)]:
            done.result()
    target = target_of(client)
    assert [target.summarise(unit).total.count for unit in units] == [5] * 8
    youngest = START + timedelta(minutes=7 * 704)
    meta = single.state(units[0]).meta
    assert meta["max_event_time"] == youngest.isoformat(), "none of eight lost the youngest"


def test_the_age_is_that_of_the_youngest_and_never_goes_back(single: Index) -> None:
    client, target = single.client, target_of(single.client)
    a, b = single.unit("a"), single.unit("b")
    load(target, a, documents_of("a", 1, first=50))
    before = single.state(a)
    load(target, b, documents_of("b", 1))
    assert single.state(b) == before
    load(target, b, documents_of("b", 1, first=60))
    later = single.state(b)
    age = datetime.fromisoformat(later.meta["max_event_time"])
    assert age == START + timedelta(minutes=420)
    written = later.settings.get("index.lifecycle.origination_date")
    elastic = client.engine is Engine.ELASTICSEARCH
    assert written == (str(int(age.timestamp() * 1000)) if elastic else None)
    for key in ("b/000", "b/060"):
        client.request("DELETE", path(b.index, "_doc", key), params={"routing": "b"})
    target.finish(a)
    assert single.state(a).meta["max_event_time"] == age.isoformat()


def test_the_index_serves_from_the_start_and_keeps_its_settings(single: Index) -> None:
    client, target = single.client, target_of(single.client)
    a, b = single.unit("a"), single.unit("b")
    target.prepare(a)
    settings = single.state(a).settings
    assert settings["index.refresh_interval"] == "60s"
    target.write(a, chunk(documents_of("a", 3)), stop=Stop())
    target.finish(a)
    single.show(a)
    put_settings(client, a.index, {"refresh_interval": "99s"})  # an administrator's choice stays
    target.prepare(b)
    target.write(b, chunk(documents_of("b", 3)), stop=Stop())
    target.finish(b)
    assert single.state(b).settings["index.refresh_interval"] == "99s"
    assert {hit["_id"] for hit in hits(client, a.alias)} == {"a/000", "a/001", "a/002"}


def test_whose_index_it_is(single: Index) -> None:
    client, target = single.client, target_of(single.client)
    unit = single.unit("a")
    target.prepare(unit)
    meta = single.state(unit).meta
    assert (meta["layout"], meta["stream"], meta["period"]) == ("shared", "runs", "2025-01")
    assert "unit" not in meta
    base = unit.index.removesuffix("-v1")
    ((version,),) = versions(client, [base]).values()
    assert (version.owner, version.definition) == ("runs/*/2025-01", unit.definition)
    assert version.migration == "test"
    for other in (
        replace(single.unit("b"), definition="d0"),
        replace(single.unit("b", shared=False), index=unit.index),
        replace(single.unit("b"), unit=replace(unit.unit, stream="nodes")),
    ):
        with pytest.raises(IndexConflict):
            target.prepare(other)
    with pytest.raises(IndexConflict, match="belongs to the migration test"):
        target_of(client, migration="another").prepare(single.unit("b"))
    assert single.state(unit).meta == meta
    own = single.unit("a", shared=False)
    target.prepare(own)
    with pytest.raises(IndexConflict):
        target.prepare(replace(unit, index=own.index))


def test_a_tenant_moves_to_the_next_version_by_itself(single: Index) -> None:
    client, target = single.client, target_of(single.client)
    old = [single.unit("a"), single.unit("b")]
    new = single.unit("a", version=2, definition="d2")
    for unit in (*old, new):
        count = 5 if unit is new else 3
        load(target, unit, documents_of(unit.unit.tenant, count))
    single.show(*old)
    names = [name for unit in old for name in (unit.alias, unit.tenant_alias)]
    before, _ = current_aliases(client, names)
    swap = plan_swap([new], current=before, indices=frozenset())
    apply(client, swap.actions)
    assert {len(hits(client, new.alias)), len(hits(client, new.tenant_alias))} == {5}
    assert len(hits(client, old[1].alias)) == 3
    after, _ = current_aliases(client, names)
    assert after[new.alias] == {new.index: Share("tenant_id", "a", "a")}
    assert after[old[1].alias] == before[old[1].alias]
    apply(client, swap.inverse)
    assert current_aliases(client, names)[0] == before
    assert len(hits(client, new.alias)) == 3


def test_a_tenant_moves_from_an_index_of_its_own(single: Index) -> None:
    client, target = single.client, target_of(single.client)
    own, common = single.unit("a", shared=False), single.unit("a")
    load(target, own, documents_of("a", 3))
    single.show(own)
    before, _ = current_aliases(client, [own.alias, own.tenant_alias])
    load(target, common, documents_of("a", 4))
    load(target, single.unit("b"), documents_of("b", 2))
    swap = plan_swap([common], current=before, indices=frozenset())
    apply(client, swap.actions)
    assert {len(hits(client, common.alias)), len(hits(client, common.tenant_alias))} == {4}
    apply(client, swap.inverse)
    assert current_aliases(client, [own.alias, own.tenant_alias])[0] == before
    assert {len(hits(client, own.alias)), len(hits(client, own.tenant_alias))} == {3}


def test_an_alias_that_shows_everybody_is_put_right_in_one_call(single: Index) -> None:
    client, target = single.client, target_of(single.client)
    a, b = single.unit("a"), single.unit("b")
    for unit in (a, b):
        load(target, unit, documents_of(unit.unit.tenant, 2))
    client.request("PUT", f"/{a.index}/_alias/{a.alias}")
    assert len(hits(client, a.alias)) == 4
    before, _ = current_aliases(client, [a.alias, a.tenant_alias])
    swap = plan_swap([a], current=before, indices=frozenset())
    apply(client, swap.actions)
    assert len(hits(client, a.alias)) == 2
    apply(client, swap.inverse)
    assert current_aliases(client, [a.alias, a.tenant_alias])[0] == before


def test_the_tenant_s_column_stays_a_keyword(single: Index) -> None:
    unit = single.unit("a")
    target_of(single.client).prepare(unit)
    data = single.client.request("GET", f"/{unit.index}/_mapping").data
    mapping = data[unit.index]["mappings"]
    assert mapping["properties"]["tenant_id"]["type"] == "keyword"
    assert mapping["_routing"] == {"required": True}


def test_a_tenant_without_a_document_holds_nothing(single: Index) -> None:
    target = target_of(single.client)
    a, b = single.unit("a"), single.unit("b")
    target.prepare(a)
    target.write(a, chunk(documents_of("a", 1)), stop=Stop())
    assert target.holds_any(a)
    assert not target.holds_any(b)
