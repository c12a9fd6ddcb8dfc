"""Removing documents by id, each only as long as it isn't newer than a given version.

The version decides in the engine itself, in the moment of the deletion: a document that another
attempt has written from a later read of its row stays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from airflow_provider_logmigrate.core.errors import TargetRefused, TargetUnavailable
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.stores.search.client import NDJSON, SearchClient, concrete, path
from airflow_provider_logmigrate.stores.search.faults import reason_of
from airflow_provider_logmigrate.stores.search.search import search

_DONE, _GONE, _NEWER = 200, 404, 409


def remove(
    client: SearchClient,
    index: str,
    ids: Sequence[str],
    *,
    version: int,
    routing: str | None = None,
    share: Share | None = None,
) -> int:
    """Remove documents; how many. Idempotent.

    :param ids: 10,000 at most.
    :param version: microseconds since 1970; newer documents stay.
    :param share: of a shared index: only documents of this tenant, under its own ``routing``.
    :raises TargetUnavailable: the engine refused some for now; those before it are gone.
    :raises TargetRefused: the engine refuses one for good.
    """
    if share is not None:
        ids = _of_share(client, index, ids, share, routing)
    if not ids:
        return 0
    routed = {"routing": routing} if routing is not None else {}
    response = client.request(
        "POST",
        path(concrete(index), "_bulk"),
        body=b"".join(_action(key, version) for key in ids),
        params={"filter_path": "items.*.status,items.*.error.type,items.*.error.reason", **routed},
        content_type=NDJSON,
        where=index,
    )
    items = [item["delete"] for item in response.data.get("items", [])]
    if len(items) != len(ids):
        raise TargetUnavailable(
            f"the answer to {len(ids)} deletions doesn't account for each",
            where=f"{index} at {client.where}",
        )
    for key, item in zip(ids, items, strict=True):
        if item["status"] not in (_DONE, _GONE, _NEWER):
            kind = TargetUnavailable if item["status"] in (429, 503) else TargetRefused
            raise kind(
                f"document {key} can't be removed (HTTP {item['status']}):"
                f" {reason_of(item.get('error'))}",
                where=f"{index} at {client.where}",
            )
    return sum(item["status"] == _DONE for item in items)


def _action(key: str, version: int) -> bytes:
    action = {"_id": key, "version": version, "version_type": "external_gte"}
    return json.dumps({"delete": action}).encode() + b"\n"


def _of_share(
    client: SearchClient, index: str, ids: Sequence[str], share: Share, routing: str | None
) -> list[str]:
    """Those that are the tenant's: the shard may hold others' documents of the same ids."""
    clauses: list[dict[str, Any]] = [{"ids": {"values": list(ids)}}, dict(share.filter)]
    if routing is not None:
        clauses.append({"term": {"_routing": routing}})
    body = {"size": len(ids), "_source": False, "query": {"bool": {"filter": clauses}}}
    return [hit["_id"] for hit in search(client, body, index=index)["hits"]["hits"]]
