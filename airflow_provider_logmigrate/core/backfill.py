"""What to do with one unit: copy it, go on with it, repair it, or leave it alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Phase
from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.copy import copy
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.fingerprint import EMPTY, differing_hours
from airflow_provider_logmigrate.core.pace import Pace
from airflow_provider_logmigrate.core.plan import ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.ports import (
    CopyLimits,
    Journal,
    ReadRequest,
    Source,
    SourceFinding,
    Target,
    TimeRange,
)
from airflow_provider_logmigrate.core.unit import Period


class Action(str, Enum):
    """What a unit needed."""

    COPIED = "copied"
    RESUMED = "resumed"
    REPAIRED = "repaired"
    CURRENT = "current"
    TOO_YOUNG = "too_young"


@dataclass(frozen=True, slots=True)
class UnitOutcome:
    """What an attempt did to a unit.

    :param counters: over all attempts, ``rejected`` as of the last look at each row.
    :param written: documents acknowledged in this attempt, those that were there included.
    """

    unit: str
    action: Action
    counters: Counters
    seconds: float
    written: int = 0
    findings: tuple[SourceFinding, ...] = ()

    @property
    def with_findings(self) -> bool:
        """True if somebody should look at this unit."""
        return bool(self.findings or self.counters.rejected)


def upper_bound(period: Period, *, now: datetime, settle_lag: timedelta) -> datetime:
    """Event time up to which a unit may be read: rows younger than the lag may still be
    committed behind the cursor.
    """
    return min(period.end, now - settle_lag)


def backfill_unit(
    *,
    source: Source,
    target: Target,
    journal: Journal,
    plan: UnitPlan,
    previous: Checkpoint | None,
    settle_lag: timedelta,
    limits: CopyLimits,
    clock: Clock,
    stop: Stop,
    pace: Pace | None = None,
) -> UnitOutcome:
    """Bring one unit's index to what its source holds.

    * never copied: copy all of it;
    * broken off: go on behind the checkpoint's cursor;
    * copied before: compare both sides by hour and copy differing hours anew: rows that were
      unsettled, appended or changed since then.

    Idempotent and resumable: repeated after any kill it reaches the same result.

    :param previous: the newest valid checkpoint of the same definition, if any.
    :param pace: see :func:`copy`.
    :raises NothingCopied: the plan or the repair counted rows, and not one was read.
    :raises PlanUnusable: the unit is to be swept, and wasn't yet.
    """
    stop.check(plan.key)
    began = clock.monotonic()
    upper = upper_bound(plan.unit.period, now=clock.now(), settle_lag=settle_lag)
    start = plan.unit.period.start
    counters = previous.counters if previous else Counters()
    if upper <= start:
        return UnitOutcome(plan.key, Action.TOO_YOUNG, counters, 0.0)
    if previous is not None and previous.phase is Phase.COPIED:
        request, expected = _repair(source, target, plan, upper=upper, stop=stop)
        action = Action.REPAIRED if request.ranges else Action.CURRENT
        # A rejected row has no document, so its hour differs and it is tried and counted anew.
        counters = replace(counters, rejected=0)
    else:
        if plan.strategy is ReadStrategy.SWEEP:
            raise PlanUnusable(
                "the unit's rows are read by a sweep, and none has come to its end since",
                where=plan.key,
                next_step="trigger the migration's sweep (logmigrate_<migration>.sweep), then this"
                " DAG again; or set the stream's strategy to auto",
            )
        after = previous.cursor if previous else None
        request = ReadRequest(plan, (TimeRange(start, upper),), after)
        action = Action.RESUMED if after else Action.COPIED
        # Of an open period the plan may have counted rows that are too young to be read yet.
        counted = plan.estimate if upper == plan.unit.period.end else None
        expected = counted.rows if counted and counted.exact else 0
    if action is Action.CURRENT:
        return UnitOutcome(plan.key, action, counters, clock.monotonic() - began)
    outcome = copy(
        source=source,
        target=target,
        journal=journal,
        request=request,
        counters=counters,
        upper=upper,
        limits=limits,
        clock=clock,
        stop=stop,
        expected=expected,
        pace=pace,
    )
    return UnitOutcome(
        plan.key,
        action,
        outcome.counters,
        clock.monotonic() - began,
        outcome.counters.documents - counters.documents,
        outcome.findings,
    )


def _repair(
    source: Source, target: Target, plan: UnitPlan, *, upper: datetime, stop: Stop
) -> tuple[ReadRequest, int]:
    """The differing hours, and how many rows the source has in them."""
    target.prepare(plan)
    target.finish(plan)
    left = source.summarise(plan, upper=upper)
    stop.check(plan.key)
    right = target.summarise(plan)
    ranges: list[TimeRange] = []
    rows = 0
    for hour in differing_hours(left, right):
        # A stray document's hour may lie outside the unit: its neighbours' rows aren't copied.
        begin = max(hour, plan.unit.period.start)
        end = min(hour + timedelta(hours=1), upper)
        if begin >= end:
            continue
        rows += left.buckets.get(hour, EMPTY).count
        if ranges and ranges[-1].end == begin:
            ranges[-1] = TimeRange(ranges[-1].start, end)
        else:
            ranges.append(TimeRange(begin, end))
    return ReadRequest(plan, tuple(ranges), repair=True), rows
