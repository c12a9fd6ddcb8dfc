"""Retention on an index: what each rule finds in it, and deletions that are waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    Interrupted,
    LogMigrateError,
    TargetRefused,
    TargetUnavailable,
)
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.retention_facts import ClauseFacts
from airflow_provider_logmigrate.core.retention_plan import RetentionItem, Slice
from airflow_provider_logmigrate.core.retention_rules import Clause, Where
from airflow_provider_logmigrate.stores.search import existing, index
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path
from airflow_provider_logmigrate.stores.search.existing import EXACTLY_ONE, acknowledged
from airflow_provider_logmigrate.stores.search.search import search

LOOK_SECONDS = 0.5
"""Between two looks at a running deletion."""

QUERIES = 100
"""Rules asked about by one request."""

EXACT = frozenset({"keyword", "boolean", "byte", "short", "integer", "long"})
"""Types of fields whose values are compared as they are, not word by word."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_SNAPSHOT_RUNS = "snapshot_in_progress_exception"


def strange_fields(client: SearchClient, name: str, fields: Iterable[str]) -> dict[str, str]:
    """Fields that rules can't go by in this index, with the reason."""
    wanted = sorted(set(fields))
    if not wanted:
        return {}
    data = client.request(
        "GET", path(concrete(name), "_mapping", "field", ",".join(wanted)), where=name
    ).data
    found: dict[str, str] = {}
    mappings = data.get(name, {}).get("mappings", {})
    for field in wanted:
        types = [leaf["type"] for leaf in mappings.get(field, {}).get("mapping", {}).values()]
        if not types:
            found[field] = "it doesn't have"
        elif types[0] not in EXACT:
            found[field] = f"is of type {types[0]} and can't be compared exactly"
    return found


def count_clauses(
    client: SearchClient,
    name: str,
    wanted: Sequence[tuple[Share | None, Clause]],
    *,
    event_time: str,
) -> tuple[int, list[ClauseFacts]]:
    """All documents of an index, and those of each clause; it must have been refreshed."""
    time = {"field": event_time}
    facts: list[ClauseFacts] = []
    total = 0
    left = iter([_matching(share, clause.where, clause.unless) for share, clause in wanted])
    while queries := list(islice(left, QUERIES)):
        filters = {str(number): query for number, query in enumerate(queries)}
        body = {
            "size": 0,
            "track_total_hits": True,
            "aggs": {
                "clauses": {
                    "filters": {"filters": filters},
                    "aggs": {"newest": {"max": time}, "timed": {"value_count": time}},
                }
            },
        }
        data = search(client, body, index=name)
        total = int(data["hits"]["total"]["value"])
        buckets = data["aggregations"]["clauses"]["buckets"]
        facts += [_facts(buckets[str(number)]) for number in range(len(queries))]
    return total, facts


class SearchRetention:
    """Implements :class:`~core.retention_run.RetentionTarget` for one cluster.

    :param event_times: the field of each stream.
    :param documents_per_second: bounds a deletion by query.
    """

    def __init__(
        self, client: SearchClient, event_times: Mapping[str, str], *, documents_per_second: float
    ) -> None:
        self._client, self._event_times = client, event_times
        self._speed = documents_per_second

    def uuid(self, index: str) -> str | None:
        """See the port."""
        state = existing.read(self._client, index)
        return state.settings["index.uuid"] if state else None

    def drop(self, index: str) -> None:
        """See the port.

        :raises TargetUnavailable: not carried out, or not known; or a snapshot is being taken.
        """
        try:
            response = self._client.request(
                "POST",
                path("_aliases"),
                body={"actions": [{"remove_index": {"index": concrete(index)}}]},
                retry=False,
                where=index,
            )
        except TargetRefused as refused:
            if refused.data.get("kind") != _SNAPSHOT_RUNS:
                raise
            raise TargetUnavailable(refused.what, where=refused.where) from refused
        acknowledged(response, where=f"{index} at {self._client.where}")

    def settle_running(self, index: str, *, stop: Stop) -> None:
        """See the port."""
        for task in self._running(index):
            self._wait(task, index, stop)

    def delete(self, item: RetentionItem, *, stop: Stop) -> None:
        """See the port.

        A document that changes meanwhile is passed over and found by the count afterwards.

        :raises TargetRefused: some of the deletion failed.
        :raises Interrupted: ``stop`` was set; the deletion was told to end as well.
        """
        task = self._client.request(
            "POST",
            path(concrete(item.index), "_delete_by_query"),
            params={
                **EXACTLY_ONE,
                "conflicts": "proceed",
                "wait_for_completion": "false",
                "requests_per_second": f"{self._speed:g}",
            },
            body={"query": self._query(item)},
            retry=False,
            where=item.index,
        ).data["task"]
        try:
            self._wait(task, item.index, stop)
        except Interrupted:
            with suppress(LogMigrateError):
                self._client.request("POST", path("_tasks", task, "_cancel"), where=item.index)
            raise

    def count(self, item: RetentionItem) -> int:
        """See the port; refreshes first."""
        index.refresh(self._client, item.index)
        data = search(
            self._client,
            {"size": 0, "track_total_hits": True, "query": self._query(item)},
            index=item.index,
        )
        return int(data["hits"]["total"]["value"])

    def _query(self, item: RetentionItem) -> dict[str, Any]:
        return _any([self._slice(part) for part in item.slices])

    def _slice(self, part: Slice) -> dict[str, Any]:
        event_time = self._event_times[part.unit.partition("/")[0]]
        query = _matching(part.share, part.where, part.unless)
        query["bool"]["filter"].append({"range": {event_time: {"lt": part.before}}})
        return query

    def _running(self, index: str) -> Iterator[str]:
        data = self._client.request(
            "GET",
            path("_tasks"),
            params={"actions": "indices:data/write/delete/byquery", "detailed": "true"},
        ).data
        for node in data.get("nodes", {}).values():
            for task, record in node.get("tasks", {}).items():
                if f"[{index}]" in record.get("description", ""):
                    yield task

    def _wait(self, task: str, index: str, stop: Stop) -> None:
        where = f"{index}, task {task} at {self._client.where}"
        while True:
            response = self._client.request(
                "GET", path("_tasks", task), expected=(404,), where=where
            )
            if response.status == 404:
                return  # its node was restarted: the count tells what it did
            if response.data["completed"]:
                _check(response.data, where)
                return
            stop.wait(LOOK_SECONDS, where)


def _check(data: Mapping[str, Any], where: str) -> None:
    failures = data.get("response", {}).get("failures") or []
    if "error" in data:
        failures = [data["error"]]
    if failures:
        raise TargetRefused(
            f"{len(failures)} parts of a deletion by query failed, the first one: {failures[0]}",
            where=where,
            next_step="read the reason; the next attempt goes on with what is left",
        )


def _matching(share: Share | None, where: Where, unless: Sequence[Where]) -> dict[str, Any]:
    wanted = [share.filter] if share else []
    return {
        "bool": {
            "filter": [*wanted, *_terms(where)],
            "must_not": [{"bool": {"filter": _terms(other)}} for other in unless],
        }
    }


def _terms(where: Where) -> list[dict[str, Any]]:
    return [{"terms": {name: list(values)}} for name, values in where]


def _any(queries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"bool": {"should": list(queries), "minimum_should_match": 1}}


def _facts(bucket: Mapping[str, Any]) -> ClauseFacts:
    documents, newest = int(bucket["doc_count"]), bucket["newest"]["value"]
    return ClauseFacts(
        documents=documents,
        newest=None if newest is None else _EPOCH + timedelta(milliseconds=int(newest)),
        timeless=documents - int(bucket["timed"]["value"]),
    )
