"""What a purge asks of an index: fingerprints of documents by key, and whether one holds a content.

Fingerprints come from doc values alone: no document is fetched or decompressed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec

from airflow_provider_logmigrate.core.errors import TargetUnavailable
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_ports import Print, StoredObject
from airflow_provider_logmigrate.core.stream import Stream
from airflow_provider_logmigrate.stores.search import index, stored
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path
from airflow_provider_logmigrate.stores.search.mapping import FINGERPRINT, OFFLOADED

PAGE = 5_000
"""Documents asked for at once; engines return 10,000 at most."""

SUMMED = 20_000
"""Documents added up at once; the limit of a search's clauses is for others than ids."""

_HIGH, _LOW = f"{FINGERPRINT}.high", f"{FINGERPRINT}.low"
_SUMS = {
    "high": {"sum": {"field": _HIGH}},
    "low": {"sum": {"field": _LOW}},
    "highs": {"value_count": {"field": _HIGH}},
    "lows": {"value_count": {"field": _LOW}},
}


class _Shards(msgspec.Struct):
    failed: int


class _Hit(msgspec.Struct):
    id: str = msgspec.field(name="_id", default="")
    fields: dict[str, list[Any]] = msgspec.field(default_factory=dict)


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Whole(msgspec.Struct, kw_only=True):
    timed_out: bool
    shards: _Shards = msgspec.field(name="_shards")


class _Answer(_Whole, kw_only=True):
    hits: _Hits


class _Value(msgspec.Struct):
    value: float


class _Sums(_Whole, kw_only=True):
    aggregations: dict[str, _Value]


_parse = msgspec.json.Decoder(_Answer).decode
_parse_sums = msgspec.json.Decoder(_Sums).decode
_W = TypeVar("_W", bound=_Whole)


class ProvenDocuments:
    """Implements :class:`~core.purge_ports.PurgeTarget` for one cluster.

    :param streams: by name.
    """

    def __init__(self, client: SearchClient, streams: Mapping[str, Stream]) -> None:
        self._client, self._streams = client, streams

    def refresh(self, plan: UnitPlan) -> None:
        """Make visible what was written and what was deleted."""
        index.refresh(self._client, plan.index)

    def proof(self, plan: UnitPlan, keys: Sequence[str]) -> Bucket:
        """See the port: the engine adds up, so nothing of the documents themselves comes back.

        The sums of a page are exact, see :mod:`core.fingerprint`.

        :raises TargetUnavailable: a shard didn't answer, or not in time.
        """
        total = EMPTY
        left = iter(keys)
        while page := list(islice(left, SUMMED)):
            body = {"size": 0, "query": _of(page, plan.routing), "aggs": _SUMS}
            found = {
                name: int(sum_.value)
                for name, sum_ in self._search(plan, body, _parse_sums).aggregations.items()
            }
            # One half missing makes the document one without a fingerprint.
            count = min(found["highs"], found["lows"])
            total = total + Bucket(count, found["high"], found["low"])
        return total

    def prints(self, plan: UnitPlan, keys: Sequence[str]) -> Mapping[str, Print]:
        """See the port.

        A document counts only under the id that is its key, and only with a whole fingerprint.

        :raises TargetUnavailable: a shard didn't answer, or not in time.
        """
        found: dict[str, Print] = {}
        left = iter(dict.fromkeys(keys))
        while page := list(islice(left, PAGE)):
            quick = dict(self._page(plan, page, ids=False))
            # Documents of all these ids hold just these keys: they fit. Else the ids themselves
            # are looked at, for which documents have to be fetched.
            whole = quick.keys() == set(page)
            found |= quick if whole else dict(self._page(plan, page, ids=True))
        return found

    def _page(self, plan: UnitPlan, page: list[str], *, ids: bool) -> Iterator[tuple[str, Print]]:
        key_field = self._streams[plan.unit.stream].key
        answer: _Answer = self._search(plan, _query(page, key_field, plan.routing, ids=ids), _parse)
        for hit in answer.hits.hits:
            fields = hit.fields
            if key_field in fields and _HIGH in fields and _LOW in fields:
                key = str(fields[key_field][0])
                if not ids or hit.id == key:
                    yield key, (int(fields[_HIGH][0]), int(fields[_LOW][0]))

    def _search(
        self, plan: UnitPlan, body: Mapping[str, Any], parse: Callable[[str | bytes], _W]
    ) -> _W:
        params = {"allow_partial_search_results": "false", "request_cache": "false"}
        if plan.routing is not None:
            params["routing"] = plan.routing
        answer: _W = self._client.request(
            "POST",
            path(concrete(plan.index), "_search"),
            params=params,
            body=body,
            where=plan.index,
            parse=parse,
        ).data
        if answer.timed_out or answer.shards.failed:
            raise TargetUnavailable(
                "a search was answered in part only",
                where=f"{plan.index} at {self._client.where}",
            )
        return answer

    def holds(self, plan: UnitPlan, item: StoredObject, content: bytes) -> bool:
        """See the port: the content's text is compared character by character."""
        if item.row is None:
            return False
        held = self.content(plan, item)
        return held is not None and held == content

    def content(self, plan: UnitPlan, item: StoredObject) -> bytes | None:
        """What a row's document holds of an object, ``None`` if it holds nothing."""
        if item.row is None:
            return None
        document = self.documents(plan, [item.row.key]).get(item.row.key)
        text = json.loads(document).get(item.column + OFFLOADED) if document else None
        # A lone surrogate in it can't have come from UTF-8: then it isn't the object's content.
        return text.encode("utf-8", "replace") if isinstance(text, str) else None

    def documents(self, plan: UnitPlan, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Documents by key as they were written; those that aren't there are left out."""
        return stored.stored(self._client, plan.index, keys, routing=plan.routing)


def _of(keys: Sequence[str], routing: str | None) -> dict[str, Any]:
    clauses: list[dict[str, Any]] = [{"ids": {"values": keys}}]
    if routing is not None:
        clauses.append({"term": {"_routing": routing}})
    return {"bool": {"filter": clauses}}


def _query(keys: list[str], key_field: str, routing: str | None, *, ids: bool) -> dict[str, Any]:
    fetched: dict[str, Any] = {"_source": False} if ids else {"stored_fields": "_none_"}
    return {
        "size": len(keys),
        "query": _of(keys, routing),
        "sort": ["_doc"],
        "track_total_hits": False,
        **fetched,
        "docvalue_fields": [key_field, _HIGH, _LOW],
    }
