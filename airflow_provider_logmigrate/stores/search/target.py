"""OpenSearch and Elasticsearch as a target: the port's methods, wired to the parts."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import PlanUnusable, TargetRefused
from airflow_provider_logmigrate.core.fingerprint import Summary
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import KeyPrint, WriteResult
from airflow_provider_logmigrate.core.stream import Stream, StreamShape
from airflow_provider_logmigrate.stores.search import bulk, index, keys, summary
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path
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
        self._facts = dict(facts or {})
        self._prepared: set[str] = set()
        self._lock = threading.Lock()

    def prefix(self, version: int) -> bytes:
        """See :func:`bulk.prefix`."""
        return bulk.prefix(version)

    def prepare(self, plan: UnitPlan) -> None:
        """See :func:`index.prepare`; checks first that the engine is the connection's."""
        self.client.info()
        index.prepare(self.client, plan, facts=self._facts)
        with self._lock:
            self._prepared.add(plan.index)

    def write(self, plan: UnitPlan, chunk: Chunk, *, stop: Stop) -> WriteResult:
        """See :meth:`bulk.BulkWriter.write`."""
        return self._writer.write(plan.index, chunk, stop)

    def finish(self, plan: UnitPlan) -> None:
        """Restore the serving settings, make all visible, keep the data's age. Idempotent.

        :raises TargetRefused: the index was prepared here and is gone.
        """
        if not index.finish(self.client, plan):
            with self._lock:
                prepared = plan.index in self._prepared
            if prepared:
                raise TargetRefused(
                    "the index was deleted during the copy",
                    where=f"{plan.index} at {self.client.where}",
                    next_step="find out who deletes indices, then clear the unit's checkpoint",
                )
            return
        newest = summary.newest_event(self.client, plan.index, self._stream(plan))
        if newest is not None:
            index.keep_age(self.client, plan, newest)

    def summarise(self, plan: UnitPlan) -> Summary:
        """See :func:`summary.summarise`; refreshes first, so every acknowledged write counts."""
        index.refresh(self.client, plan.index)
        return summary.summarise(self.client, plan.index, self._stream(plan))

    def keys(self, plan: UnitPlan, *, hour: datetime) -> Iterator[KeyPrint]:
        """See :func:`keys.list_keys`."""
        return keys.list_keys(self.client, plan.index, self._stream(plan), hour=hour)

    def sample(self, plan: UnitPlan, *, size: int, seed: int) -> list[tuple[str, dict[str, Any]]]:
        """Random documents, the same ones for the same seed as long as nothing is written."""
        if size <= 0:
            return []
        body = {
            "size": min(size, MAX_SAMPLE),
            "_source": False,
            "track_total_hits": False,
            "query": {
                "function_score": {
                    "query": {"match_all": {}},
                    "random_score": {"seed": seed, "field": "_seq_no"},
                    "boost_mode": "replace",
                }
            },
        }
        hits = search(self.client, body, index=plan.index)["hits"]["hits"]
        return list(self.get(plan, [hit["_id"] for hit in hits]))

    def get(self, plan: UnitPlan, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Source documents by id, in that order; those that aren't there are left out."""
        for start in range(0, len(ids), SOURCES_PER_PAGE):
            page = list(ids[start : start + SOURCES_PER_PAGE])
            data = self.client.request(
                "POST", path(concrete(plan.index), "_mget"), body={"ids": page}, where=plan.index
            ).data
            for document in data["docs"]:
                if "error" in document:
                    raise TargetRefused(
                        f"the engine can't return document {document['_id']}: {document['error']}",
                        where=f"{plan.index} at {self.client.where}",
                    )
                if document["found"]:
                    yield document["_id"], document["_source"]

    def _stream(self, plan: UnitPlan) -> Stream:
        shape = self._shapes.get(plan.unit.stream)
        if shape is None:
            raise PlanUnusable("the plan has a stream that isn't configured", where=plan.key)
        return shape.stream
