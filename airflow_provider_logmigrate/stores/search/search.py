"""Searches whose answer is whole or an error: never part of the shards, never a timed-out part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from airflow_provider_logmigrate.core.errors import TargetUnavailable
from airflow_provider_logmigrate.stores.search.client import Engine, SearchClient, concrete, path

KEEP_ALIVE = "5m"
"""Longest pause between two pages of one listing."""

_PIT: Mapping[Engine, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    # path to open below the index, name of the id in its answer, path to close
    Engine.OPENSEARCH: (("_search", "point_in_time"), "pit_id", ("_search", "point_in_time")),
    Engine.ELASTICSEARCH: (("_pit",), "id", ("_pit",)),
}


def search(
    client: SearchClient, body: Mapping[str, Any], *, index: str, pit: str | None = None
) -> Mapping[str, Any]:
    """Run one search on one index.

    :param pit: a point in time of that index, instead of its current state.
    :raises TargetUnavailable: a shard didn't answer, or not in time.
    """
    params = {"allow_partial_search_results": "false"}
    if pit is None:
        target = path(concrete(index), "_search")
    else:
        target = path("_search")
        body = {**body, "pit": {"id": pit, "keep_alive": KEEP_ALIVE}}
    data: Mapping[str, Any] = client.request(
        "POST", target, body=body, params=params, where=index
    ).data
    if data["timed_out"] or data["_shards"]["failed"]:
        raise TargetUnavailable(
            "a search was answered in part only", where=f"{index} at {client.where}"
        )
    return data


@contextmanager
def point_in_time(client: SearchClient, index: str, *, shard: int) -> Iterator[str]:
    """A frozen view of one shard of an index, released at the end.

    One shard, because ``_seq_no`` is unique only within one: with it as the last sort key no
    document is lost or repeated between pages, on any version of both engines.
    """
    opening, name, closing = _PIT[client.engine]
    opened = client.request(
        "POST",
        path(concrete(index), *opening),
        params={"keep_alive": KEEP_ALIVE, "preference": f"_shards:{shard}"},
        where=index,
    )
    pit = opened.data[name]
    try:
        yield pit
    finally:
        held = [pit] if client.engine is Engine.OPENSEARCH else pit
        # Not closed because it has expired (404) or nobody answers: it expires by itself, and the
        # error that brought us here must not be replaced.
        with suppress(TargetUnavailable):
            client.request(
                "DELETE", path(*closing), body={name: held}, expected=(404,), where=index
            )


def shard_count(client: SearchClient, index: str) -> int:
    """Primary shards of one index."""
    data = client.request(
        "GET",
        path(concrete(index), "_settings", "index.number_of_shards"),
        params={"flat_settings": "true"},
        where=index,
    ).data
    return int(data[index]["settings"]["index.number_of_shards"])
