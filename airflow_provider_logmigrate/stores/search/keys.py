"""One hour's documents of a unit, listed in the order of their keys with flat memory."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from airflow_provider_logmigrate.core.errors import TargetRefused
from airflow_provider_logmigrate.core.fingerprint import HOUR, MINUTE, ranges
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.ports import KeyPrint
from airflow_provider_logmigrate.core.stream import Stream
from airflow_provider_logmigrate.stores.search.client import SearchClient
from airflow_provider_logmigrate.stores.search.mapping import FINGERPRINT
from airflow_provider_logmigrate.stores.search.search import point_in_time, search, shard_count

PAGE = 5000
"""Documents per page; engines allow 10,000."""

MAX_STRAYS = 50_000
"""Documents of a listing whose id isn't their key, before the index counts as somebody else's."""

NO_FINGERPRINT = -1
"""Stands for a missing half; no row has it, so the document always differs."""

_HIGH, _LOW = f"{FINGERPRINT}.high", f"{FINGERPRINT}.low"


def list_keys(
    client: SearchClient,
    index: str,
    stream: Stream,
    *,
    hours: Sequence[datetime],
    minutes: Collection[datetime] | None = None,
    share: Share | None = None,
    page: int = PAGE,
) -> Generator[KeyPrint, None, None]:
    """Ids and fingerprints of the documents of some hours, ordered by the id's bytes.

    Engines sort by the key field, not by ``_id``. A document whose ``_id`` isn't its key (a copy
    under another id, a foreign document) is listed under its ``_id``: at its place, or
    where its key stands if that comes later. Closing the generator releases what it holds open.

    :param minutes: of these minutes of the hours only.
    :param share: only this tenant's documents, under whatever routing they are.
    :raises TargetRefused: there are more than 50,000 of those.
    """
    parts = ranges(hours, HOUR) if minutes is None else ranges(minutes, MINUTE)
    within = [within_parts(stream, parts), *([share.filter] if share else [])]
    strays: list[tuple[bytes, KeyPrint]] = []
    with ExitStack() as open_views:
        views = [
            open_views.enter_context(point_in_time(client, index, shard=shard))
            for shard in range(shard_count(client, index))
        ]
        for pit in views:
            odd = _of(stream, within, keyed=False)
            for hit in _pages(client, index, pit, odd, [], page):
                _hold(strays, hit, index)
        by_key = [{stream.key: {"order": "asc"}}]
        keyed = heapq.merge(
            *(
                _pages(client, index, pit, _of(stream, within, keyed=True), by_key, page)
                for pit in views
            ),
            key=lambda hit: str(hit["sort"][0]).encode(),
        )
        for hit in keyed:
            key = str(hit["sort"][0])
            if hit["_id"] != key:
                _hold(strays, hit, index)
                continue
            position = key.encode()
            while strays and strays[0][0] < position:
                yield heapq.heappop(strays)[1]
            yield _print(hit)
        while strays:
            yield heapq.heappop(strays)[1]


def _hold(strays: list[tuple[bytes, KeyPrint]], hit: Mapping[str, Any], index: str) -> None:
    if len(strays) >= MAX_STRAYS:
        raise TargetRefused(
            f"more than {MAX_STRAYS:,} documents of one hour have an id that isn't their key",
            where=index,
            next_step="the index was written by something else: move it away and copy again",
        )
    found = _print(hit)
    heapq.heappush(strays, (found.key.encode(), found))


def _print(hit: Mapping[str, Any]) -> KeyPrint:
    fields = hit.get("fields", {})
    return KeyPrint(hit["_id"], *(int(fields.get(f, [NO_FINGERPRINT])[0]) for f in (_HIGH, _LOW)))


def within_parts(stream: Stream, parts: Sequence[tuple[datetime, datetime]]) -> dict[str, Any]:
    """Documents of some half-open ranges of event time."""
    return {
        "bool": {
            "should": [
                {
                    "range": {
                        stream.event_time: {
                            "gte": start.isoformat(),
                            "lt": end.isoformat(),
                            "format": "strict_date_optional_time",
                        }
                    }
                }
                for start, end in parts
            ]
        }
    }


def _of(stream: Stream, within: Sequence[Mapping[str, Any]], *, keyed: bool) -> dict[str, Any]:
    exists = {"exists": {"field": stream.key}}
    return {"bool": {"must": list(within), "filter" if keyed else "must_not": [exists]}}


def _pages(
    client: SearchClient,
    index: str,
    pit: str,
    query: Mapping[str, Any],
    sort: list[dict[str, Any]],
    page: int,
) -> Iterator[Mapping[str, Any]]:
    """All hits of one shard, page by page, in the order of ``sort``."""
    body: dict[str, Any] = {
        "size": page,
        "query": query,
        "_source": False,
        "docvalue_fields": [_HIGH, _LOW],
        "track_total_hits": False,
        "sort": [*sort, {"_seq_no": {"order": "asc"}}],
    }
    while True:
        hits = search(client, body, index=index, pit=pit)["hits"]["hits"]
        yield from hits
        if len(hits) < page:
            return
        if hits[-1]["sort"] == body.get("search_after"):
            raise TargetRefused("the engine returns the same page again", where=index)
        body["search_after"] = hits[-1]["sort"]
