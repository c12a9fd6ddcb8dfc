"""OpenSearch and Elasticsearch as a target: the port's methods, wired to the parts."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import PlanUnusable, TargetRefused
from airflow_provider_logmigrate.core.fingerprint import Bucket, Summary
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Framing, KeyPrint, WriteResult
from airflow_provider_logmigrate.core.stream import Stream, StreamShape
from airflow_provider_logmigrate.stores.search import bulk, index, keys, remove, stored, summary
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path
from airflow_provider_logmigrate.stores.search.early_refresh import EarlyRefresh
from airflow_provider_logmigrate.stores.search.search import search

SOURCES_PER_PAGE = 50
"""Whole documents fetched at once; each may be megabytes."""

MAX_SAMPLE = 10_000
"""Engines return no more hits at once."""


class SearchTarget:
    """Implements :class:`~core.ports.Target` for one cluster. Thread-safe.

    :param shapes: by stream name: key and event time of what is stored.
    :param rng: for the jitter of retries.
    :param backoff: bounds the retries of one chunk.
    :param facts: kept in each new index's ``_meta``: migration, plan hash.
    """

    def __init__(
        self,
        client: SearchClient,
        *,
        shapes: Mapping[str, StreamShape],
        rng: random.Random,
        backoff: Backoff | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.client = client
        self._shapes = shapes
        self._writer = bulk.BulkWriter(client, rng=rng, backoff=backoff or Backoff())
        self._early = EarlyRefresh(client)
        self._facts = dict(facts or {})
        self._prepared: set[str] = set()
        self._lock = threading.Lock()

    def prefix(self, version: int) -> bytes:
        """See :func:`bulk.prefix`."""
        return bulk.prefix(version)

    def prepare(self, plan: UnitPlan) -> None:
        """See :func:`index.prepare`; checks first that the engine is the connection's."""
        self.client.info()
        self._early.forget(plan)
        index.prepare(self.client, plan, facts=self._facts)
        with self._lock:
            self._prepared.add(plan.index)

    def write(self, plan: UnitPlan, chunk: Chunk, *, stop: Stop) -> WriteResult:
        """See :meth:`bulk.BulkWriter.write`."""
        result = self._writer.write(plan.index, chunk, stop, routing=plan.routing)
        self._early.written(plan, documents=result.acknowledged, size=len(chunk.body))
        return result

    def framing_of(self, plan: UnitPlan) -> Framing:
        """Frames a unit's documents for :meth:`write_mixed`."""
        return bulk.MixedFraming(plan.index, plan.routing)

    def write_mixed(self, chunk: Chunk, *, stop: Stop) -> WriteResult:
        """See :meth:`bulk.BulkWriter.write_mixed`."""
        return self._writer.write_mixed(chunk, stop)

    def finish(self, plan: UnitPlan) -> None:
        """Restore the serving settings, make all visible, keep the data's age. Idempotent.

        :raises TargetRefused: the index was prepared here and is gone.
        """

        def newest() -> datetime | None:
            return summary.newest_event(self.client, plan.index, self._stream(plan))

        self._early.forget(plan)
        if not index.finish(self.client, plan, facts=self._facts, newest=newest):
            with self._lock:
                prepared = plan.index in self._prepared
            if prepared:
                raise TargetRefused(
                    "the index was deleted during the copy",
                    where=f"{plan.index} at {self.client.where}",
                    next_step="find out who deletes indices, then clear the unit's checkpoint",
                )

    def summarise(self, plan: UnitPlan, *, prints: bool = True) -> Summary:
        """See :func:`summary.summarise`; refreshes first, so every acknowledged write counts."""
        index.refresh(self.client, plan.index)
        return summary.summarise(
            self.client, plan.index, self._stream(plan), share=plan.share, prints=prints
        )

    def by_hand(self, plan: UnitPlan, *, prints: bool = True) -> dict[str, Any]:
        """How anybody gets the unit's sums: the request, to be sent after a refresh."""
        return _search_of(
            plan, summary.summary_body(self._stream(plan), share=plan.share, prints=prints)
        )

    def sample_by_hand(self, plan: UnitPlan, *, size: int, seed: int) -> dict[str, Any]:
        """The request that draws the same sample, as long as nothing was written since."""
        return _search_of(plan, self._sample_body(plan, size=size, seed=seed))

    def _sample_body(self, plan: UnitPlan, *, size: int, seed: int) -> dict[str, Any]:
        return {
            "size": min(size, MAX_SAMPLE),
            "_source": False,
            "track_total_hits": False,
            "query": {
                "function_score": {
                    "query": plan.share.filter if plan.share else {"match_all": {}},
                    "random_score": {"seed": seed, "field": "_seq_no"},
                    "boost_mode": "replace",
                }
            },
        }

    def holds_any(self, plan: UnitPlan) -> bool:
        """True if the index has a document of the unit; refreshes first."""
        index.refresh(self.client, plan.index)
        body: dict[str, Any] = {"size": 0, "terminate_after": 1, "track_total_hits": True}
        if plan.share is not None:
            body["query"] = plan.share.filter
        return bool(search(self.client, body, index=plan.index)["hits"]["total"]["value"])

    def minutes(self, plan: UnitPlan, *, hours: Sequence[datetime]) -> Mapping[datetime, Bucket]:
        """See :func:`summary.by_minute`; of what the last refresh made visible."""
        stream = self._stream(plan)
        return summary.by_minute(self.client, plan.index, stream, hours=hours, share=plan.share)

    def keys(
        self,
        plan: UnitPlan,
        *,
        hours: Sequence[datetime],
        minutes: Collection[datetime] | None = None,
    ) -> Iterator[KeyPrint]:
        """See :func:`keys.list_keys`."""
        return keys.list_keys(
            self.client,
            plan.index,
            self._stream(plan),
            hours=hours,
            minutes=minutes,
            share=plan.share,
        )

    def sample(self, plan: UnitPlan, *, size: int, seed: int) -> list[tuple[str, dict[str, Any]]]:
        """Random documents, the same ones for the same seed as long as nothing is written."""
        if size <= 0:
            return []
        body = self._sample_body(plan, size=size, seed=seed)
        hits = search(self.client, body, index=plan.index)["hits"]["hits"]
        # A document that was written under another tenant's routing is found there only.
        return list(self._get(plan, [(hit["_id"], hit.get("_routing")) for hit in hits]))

    def remove(self, plan: UnitPlan, ids: Sequence[str], *, version: int) -> int:
        """See :func:`remove.remove`.

        :raises IndexConflict: the index isn't the unit's.
        """
        index.require_ours(self.client, plan, facts=self._facts)
        return remove.remove(
            self.client, plan.index, ids, version=version, routing=plan.routing, share=plan.share
        )

    def stored(self, plan: UnitPlan, keys: Sequence[str]) -> Mapping[str, bytes]:
        """See :func:`stored.stored`."""
        return stored.stored(self.client, plan.index, keys, routing=plan.routing)

    def present(self, plan: UnitPlan, keys: Sequence[str]) -> set[str]:
        """Those of the keys that the unit has a document of; refreshes first."""
        index.refresh(self.client, plan.index)
        return stored.present(self.client, plan.index, keys, share=plan.share)

    def get(self, plan: UnitPlan, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Source documents by id, in that order; those that aren't there are left out."""
        return self._get(plan, [(key, plan.routing) for key in ids])

    def _get(
        self, plan: UnitPlan, places: Sequence[tuple[str, str | None]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for start in range(0, len(places), SOURCES_PER_PAGE):
            page = places[start : start + SOURCES_PER_PAGE]
            wanted = [{"_id": k} if r is None else {"_id": k, "routing": r} for k, r in page]
            data = self.client.request(
                "POST", path(concrete(plan.index), "_mget"), body={"docs": wanted}, where=plan.index
            ).data
            for (_, routing), document in zip(page, data["docs"], strict=True):
                if "error" in document:
                    raise TargetRefused(
                        f"the engine can't return document {document['_id']}: {document['error']}",
                        where=f"{plan.index} at {self.client.where}",
                    )
                # Engines return whatever has the id in that shard.
                if document["found"] and document.get("_routing") == routing:
                    yield document["_id"], document["_source"]

    def _stream(self, plan: UnitPlan) -> Stream:
        shape = self._shapes.get(plan.unit.stream)
        if shape is None:
            raise PlanUnusable("the plan has a stream that isn't configured", where=plan.key)
        return shape.stream


def _search_of(plan: UnitPlan, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"method": "POST", "path": path(concrete(plan.index), "_search"), "body": body}
