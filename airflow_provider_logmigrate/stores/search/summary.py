"""Hourly fingerprint buckets of everything an index holds for a unit, in one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_logmigrate.core.fingerprint import HOUR, Bucket, Summary, ranges
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.stream import Stream
from airflow_provider_logmigrate.stores.search.client import SearchClient
from airflow_provider_logmigrate.stores.search.keys import within_parts
from airflow_provider_logmigrate.stores.search.mapping import FINGERPRINT
from airflow_provider_logmigrate.stores.search.search import search

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def summarise(
    client: SearchClient,
    index: str,
    stream: Stream,
    *,
    share: Share | None = None,
    prints: bool = True,
) -> Summary:
    """Count and fingerprint sums per hour of event time.

    The index must have been refreshed. A bucket with a document that has no fingerprint gets sums
    that no source has, so its hour is always listed key by key.

    :param share: only this tenant's documents, under whatever routing they are: one that was
        written under another's is found.
    :param prints: False: numbers of documents only.
    """
    data = search(client, summary_body(stream, share=share, prints=prints), index=index)
    buckets = {
        _moment(bucket["key"]): _bucket(bucket)
        for bucket in data["aggregations"]["hours"]["buckets"]
    }
    newest = data["aggregations"]["newest"]["value"]
    return Summary(
        buckets=buckets,
        outside=int(data["hits"]["total"]["value"]) - sum(b.count for b in buckets.values()),
        max_event_time=None if newest is None else _moment(newest),
    )


def summary_body(
    stream: Stream, *, share: Share | None = None, prints: bool = True
) -> dict[str, Any]:
    """The search a certificate can be checked with by hand."""
    return {
        "size": 0,
        "track_total_hits": True,
        "query": share.filter if share else {"match_all": {}},
        "aggs": {
            "hours": _histogram(stream, "1h", prints=prints),
            "newest": {"max": {"field": stream.event_time}},
        },
    }


def by_minute(
    client: SearchClient,
    index: str,
    stream: Stream,
    *,
    hours: Sequence[datetime],
    share: Share | None = None,
) -> Mapping[datetime, Bucket]:
    """Count and fingerprint sums per minute of some hours: 12,000 buckets of 200 hours at most."""
    body = {
        "size": 0,
        "track_total_hits": False,
        "query": {
            "bool": {
                "filter": [
                    within_parts(stream, ranges(hours, HOUR)),
                    *([share.filter] if share else []),
                ]
            }
        },
        "aggs": {"minutes": _histogram(stream, "1m")},
    }
    data = search(client, body, index=index)
    return {
        _moment(bucket["key"]): _bucket(bucket)
        for bucket in data["aggregations"]["minutes"]["buckets"]
    }


def _histogram(stream: Stream, interval: str, *, prints: bool = True) -> dict[str, Any]:
    buckets: dict[str, Any] = {
        "date_histogram": {
            "field": stream.event_time,
            "fixed_interval": interval,
            "min_doc_count": 1,
        }
    }
    if prints:
        buckets["aggs"] = {
            "high": {"sum": {"field": f"{FINGERPRINT}.high"}},
            "low": {"sum": {"field": f"{FINGERPRINT}.low"}},
            "highs": {"value_count": {"field": f"{FINGERPRINT}.high"}},
            "lows": {"value_count": {"field": f"{FINGERPRINT}.low"}},
        }
    return buckets


def newest_event(client: SearchClient, index: str, stream: Stream) -> datetime | None:
    """The youngest document's event time, to the millisecond; ``None`` for an empty index."""
    body = {"size": 0, "aggs": {"newest": {"max": {"field": stream.event_time}}}}
    newest = search(client, body, index=index)["aggregations"]["newest"]["value"]
    return None if newest is None else _moment(newest)


def _bucket(bucket: Mapping[str, Any]) -> Bucket:
    count = int(bucket["doc_count"])
    if "high" not in bucket:
        return Bucket(count, 0, 0)
    if not bucket["highs"]["value"] == bucket["lows"]["value"] == count:
        return Bucket(count, -1, -1)
    return Bucket(count, int(bucket["high"]["value"]), int(bucket["low"]["value"]))


def _moment(milliseconds: Any) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(milliseconds))
