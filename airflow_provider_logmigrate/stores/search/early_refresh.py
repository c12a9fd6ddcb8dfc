"""A refresh shortly before a load's end, so that the one at its end has little left to do.

A refresh is one thread's work through all documents that the engine still holds in memory: up to a
tenth of its heap, in which the other processors, at the end of a load, have nothing to do. Begun
while the last documents are still coming it costs next to nothing: two processors take 250 MB in
0.86 of the time (docs/benchmarks.md). Several in one load cost more, in small segments.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from airflow_provider_logmigrate.core.errors import LogMigrateError
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path
from airflow_provider_logmigrate.stores.search.create import serves_from_the_start
from airflow_provider_logmigrate.stores.search.existing import EXACTLY_ONE

REST, REST_BYTES = 0.15, 64 << 20
"""What may still be missing: this share of the documents, and no more than this."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Loaded:
    """What was written into an index so far."""

    documents: int = 0
    bytes: int = 0
    refreshed: bool = False

    def is_nearly_whole(self, expected: int) -> bool:
        """True if little is missing of that many documents."""
        rest = max(0, expected - self.documents)
        return rest <= REST * expected and rest * self.bytes <= REST_BYTES * self.documents


class EarlyRefresh:
    """Watches loads, and refreshes each index once. Thread-safe."""

    def __init__(self, client: SearchClient) -> None:
        self._client = client
        self._loads: dict[str, Loaded] = {}
        self._lock = threading.Lock()

    def written(self, plan: UnitPlan, *, documents: int, size: int) -> None:
        """Count what was written, and refresh if it is time to.

        The calling sender is held meanwhile; the other ones go on.
        """
        if plan.estimate is None or serves_from_the_start(plan):
            return
        with self._lock:
            load = self._loads.setdefault(plan.index, Loaded())
            load.documents += documents
            load.bytes += size
            due = not load.refreshed and load.is_nearly_whole(plan.estimate.rows)
            load.refreshed = load.refreshed or due
        if due:
            self._refresh(plan.index)

    def forget(self, plan: UnitPlan) -> None:
        """A load begins anew, or has ended."""
        with self._lock:
            self._loads.pop(plan.index, None)

    def _refresh(self, index: str) -> None:
        target = path(concrete(index), "_refresh")
        try:
            self._client.request("POST", target, params=EXACTLY_ONE, where=index, retry=False)
        except LogMigrateError as error:
            # Whoever ends the load refreshes again, and has to succeed.
            _log.info("%s: not refreshed before the end of its load: %s", index, error)
