from __future__ import annotations

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.stores.search import status
from airflow_provider_logmigrate.stores.search.client import SearchClient
from airflow_provider_logmigrate.stores.search.index import put_settings
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.unit.stores.search.building import chunk, numbered, plan


def test_cluster(client: SearchClient, target: SearchTarget, tenant: str) -> None:
    before = status.shard_room(client)
    target.prepare(plan(client.engine, tenant))
    after = status.shard_room(client)
    assert status.health(client).data_nodes == 1
    assert after.limit == 1000
    assert after.used == before.used + 1
    assert after.free == before.free - 1
    disk = status.disk(client)
    assert disk is not None
    assert 0 < disk.free < disk.total


def test_a_changed_shard_limit_is_seen(client: SearchClient) -> None:
    setting = "cluster.max_shards_per_node"
    for value, limit in ((1234, 1234), (None, 1000)):
        client.request("PUT", "/_cluster/settings", body={"persistent": {setting: value}})
        assert status.shard_room(client).limit == limit


def test_a_tenant_s_indices(client: SearchClient, target: SearchTarget, tenant: str) -> None:
    for name, count in ((tenant, 7), (f"{tenant}-b", 3)):
        unit = plan(client.engine, name)
        target.prepare(unit)
        target.write(unit, chunk(numbered(count)), stop=Stop())
        target.finish(unit)
    unit = plan(client.engine, tenant)
    (found,) = status.tenant_indices(client, unit.tenant_alias)
    assert (found.name, found.documents) == (unit.index, 7)
    assert found.bytes > 1000
    assert status.blocked_indices(client, unit.tenant_alias) == []
    put_settings(client, unit.index, {"blocks.read_only_allow_delete": True})
    assert status.blocked_indices(client, unit.tenant_alias) == [unit.index]
    assert status.tenant_indices(client, f"{unit.tenant_alias}-none") == []
