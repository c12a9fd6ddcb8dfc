"""What became of each document of a bulk: a pure function of the engine's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_provider_logmigrate.stores.search.faults import BLOCK, reason_of


class Fate(Enum):
    """What to do about one document."""

    ACKNOWLEDGED = "acknowledged"
    SUPERSEDED = "superseded"
    """The index holds a newer version: as good as acknowledged."""
    RETRY = "retry"
    REJECTED = "rejected"
    """It will never be taken as it is."""
    BLOCKED = "blocked"
    REFUSED = "refused"
    """Not the document's fault but the index's or the login's: every one would fail."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One document's fate, with the engine's words for it."""

    fate: Fate
    status: int
    kind: str = ""
    reason: str = ""


_DONE = Outcome(Fate.ACKNOWLEDGED, 200)
_OVERLOAD_KINDS = frozenset(
    {
        "es_rejected_execution_exception",
        "rejected_execution_exception",
        "circuit_breaking_exception",
        "unavailable_shards_exception",
        "process_cluster_event_timeout_exception",
    }
)
_INDEX_KINDS = frozenset(
    {
        "index_not_found_exception",
        "index_closed_exception",
        "security_exception",
        "invalid_index_name_exception",
    }
)


def classify(item: Mapping[str, Any]) -> Outcome:
    """The fate of one document.

    :param item: ``{"status": …, "error": {"type": …, "reason": …}}`` of a bulk's answer.
    """
    status = int(item["status"])
    error = item.get("error")
    if error is None and 200 <= status < 300:
        return _DONE
    kind = str(error.get("type", "")) if isinstance(error, Mapping) else ""
    return Outcome(_fate(status, kind), status, kind, reason_of(error) if error else "")


def _fate(status: int, kind: str) -> Fate:
    if kind == BLOCK:
        # 503 blocks are a cluster that is still starting or has lost its manager.
        return Fate.RETRY if status >= 500 else Fate.BLOCKED
    if kind in _INDEX_KINDS or status in (401, 403):
        return Fate.REFUSED
    if kind in _OVERLOAD_KINDS or status in (408, 429) or status >= 500:
        return Fate.RETRY
    if status == 409 and kind in ("", "version_conflict_engine_exception"):
        return Fate.SUPERSEDED
    return Fate.REJECTED


def outcomes(data: Any, count: int) -> list[Outcome] | None:
    """All documents' fates in the order they were sent.

    :param count: documents sent.
    :return: ``None`` if the answer doesn't account for each of them: then nothing is known, and
        sending them again is the only safe thing.
    """
    items = data.get("items") if isinstance(data, Mapping) else None
    if not isinstance(items, list) or len(items) != count:
        return None
    found = []
    for item in items:
        inner = next(iter(item.values()), None) if isinstance(item, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(inner.get("status"), int):
            return None
        found.append(classify(inner))
    return found
