"""How the cluster is: health, room for shards, disk, and what a tenant's indices hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path

DEFAULT_SHARDS_PER_NODE = 1000

_VERSIONED = re.compile(r"-\d{4}\.\d{2}(?:\.\d{2})?-v\d+")


@dataclass(frozen=True, slots=True)
class Health:
    """:param status: ``green``, ``yellow`` or ``red``."""

    status: str
    nodes: int
    data_nodes: int
    shards: int
    unassigned: int


@dataclass(frozen=True, slots=True)
class ShardRoom:
    """Shards there are and shards there may be, replicas included, in the whole cluster."""

    used: int
    limit: int

    @property
    def free(self) -> int:
        """How many more fit; never negative."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class TenantIndex:
    """One concrete index. :param bytes: on disk, replicas included."""

    name: str
    documents: int
    bytes: int
    health: str


@dataclass(frozen=True, slots=True)
class Disk:
    """The data node with the least free space; bytes."""

    node: str
    free: int
    total: int


def health(client: SearchClient) -> Health:
    """The cluster's health."""
    data = client.request("GET", path("_cluster", "health")).data
    return Health(
        status=data["status"],
        nodes=data["number_of_nodes"],
        data_nodes=data["number_of_data_nodes"],
        shards=data["active_shards"],
        unassigned=data["unassigned_shards"],
    )


def shard_room(client: SearchClient) -> ShardRoom:
    """How many more shards the cluster takes (``cluster.max_shards_per_node``)."""
    name = "cluster.max_shards_per_node"
    # Flat, because Elasticsearch has both this name and one below it; so filter_path can't be used.
    data = client.request(
        "GET",
        path("_cluster", "settings"),
        params={"include_defaults": "true", "flat_settings": "true"},
    ).data
    per_node = DEFAULT_SHARDS_PER_NODE
    for scope in ("defaults", "persistent", "transient"):  # the last one set wins
        per_node = int(data.get(scope, {}).get(name, per_node))
    now = health(client)
    return ShardRoom(used=now.shards + now.unassigned, limit=per_node * max(1, now.data_nodes))


def tenant_indices(client: SearchClient, tenant_alias: str) -> list[TenantIndex]:
    """The tenant's versioned indices of one stream, by name.

    :param tenant_alias: ``dify-workflow-runs-<tenant>``; another tenant whose name only starts the
        same isn't included.
    """
    rows = client.request(
        "GET",
        path("_cat", "indices", f"{concrete(tenant_alias)}-*"),
        params={
            "format": "json",
            "bytes": "b",
            "h": "index,docs.count,store.size,health",
            "expand_wildcards": "open",
        },
        where=tenant_alias,
    ).data
    found = [
        TenantIndex(
            name=row["index"],
            documents=int(row["docs.count"] or 0),
            bytes=int(row["store.size"] or 0),
            health=row["health"],
        )
        for row in rows
        if _VERSIONED.fullmatch(row["index"].removeprefix(tenant_alias))
    ]
    return sorted(found, key=lambda index: index.name)


def disk(client: SearchClient) -> Disk | None:
    """The fullest data node; ``None`` if the engine doesn't tell."""
    data = client.request(
        "GET",
        path("_nodes", "stats", "fs"),
        params={"filter_path": "nodes.*.name,nodes.*.fs.total"},
    ).data
    disks = [
        Disk(
            node=node.get("name", ""),
            free=int(node["fs"]["total"]["available_in_bytes"]),
            total=int(node["fs"]["total"]["total_in_bytes"]),
        )
        for node in (data or {}).get("nodes", {}).values()
        if "available_in_bytes" in node.get("fs", {}).get("total", {})
    ]
    return min(disks, key=lambda d: d.free, default=None)


def blocked_indices(client: SearchClient, tenant_alias: str) -> list[str]:
    """Indices of the tenant that take no writes, by flood stage or by somebody's setting."""
    data = client.request(
        "GET",
        path(f"{concrete(tenant_alias)}-*", "_settings", "index.blocks.*"),
        params={"flat_settings": "true", "allow_no_indices": "true"},
        where=tenant_alias,
    ).data
    return sorted(
        name
        for name, record in (data or {}).items()
        if _VERSIONED.fullmatch(name.removeprefix(tenant_alias))
        and any(
            record["settings"].get(f"index.blocks.{block}") == "true"
            for block in ("write", "read_only", "read_only_allow_delete")
        )
    )
