"""Copying some rows of a copied unit anew, by their keys."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from airflow_provider_logmigrate.core.backfill import upper_bound
from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Phase
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.copy import copy
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.pace import Pace
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import (
    CopyLimits,
    Journal,
    Loader,
    ReadRequest,
    RowReader,
    TimeRange,
    WriteResult,
)


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of rows that were copied again.

    :param superseded: of the documents, those where the index holds a newer version.
    """

    documents: int
    superseded: int = 0


def copy_keys(
    keys: Sequence[str],
    *,
    source: RowReader,
    target: Loader,
    journal: Journal,
    plan: UnitPlan,
    previous: Checkpoint | None,
    settle_lag: timedelta,
    limits: CopyLimits,
    clock: Clock,
    stop: Stop,
    pace: Pace | None = None,
) -> Copied:
    """Copy the rows of these keys that are settled now; others are passed over.

    The way of every copy: same bytes, dead letters, fence, pace. The unit stays ``copied`` in its
    checkpoint. Idempotent; after a kill the next proof names what is left.

    :param previous: the unit's newest checkpoint.
    :raises PlanUnusable: the unit's first copy isn't finished; a backfill goes on with it.
    """
    if previous is None or previous.phase is not Phase.COPIED:
        raise PlanUnusable("the unit's first copy isn't finished", where=plan.key)
    upper = upper_bound(plan.unit.period, now=clock.now(), settle_lag=settle_lag)
    watched = _Watched(target)
    done = copy(
        source=source,
        target=watched,
        journal=journal,
        request=ReadRequest(
            plan, (TimeRange(plan.unit.period.start, upper),), repair=True, keys=tuple(keys)
        ),
        counters=previous.counters,
        upper=upper,
        limits=limits,
        clock=clock,
        stop=stop,
        pace=pace,
    )
    return Copied(done.counters.documents - previous.counters.documents, watched.superseded)


class _Watched:
    """A target that counts documents which didn't get through because theirs was older."""

    def __init__(self, target: Loader) -> None:
        self._target = target
        self._lock = threading.Lock()
        self.superseded = 0
        self.prefix, self.prepare, self.finish = target.prefix, target.prepare, target.finish

    def write(self, plan: UnitPlan, chunk: Chunk, *, stop: Stop) -> WriteResult:
        """See the port."""
        result = self._target.write(plan, chunk, stop=stop)
        with self._lock:
            self.superseded += result.superseded
        return result
