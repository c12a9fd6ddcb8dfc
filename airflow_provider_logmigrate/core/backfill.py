"""What to do with one unit: copy it, go on with it, repair it, or leave it alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Phase
from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.copy import copy
from airflow_provider_logmigrate.core.errors import NothingCopied
from airflow_provider_logmigrate.core.fingerprint import differing_hours
from airflow_provider_logmigrate.core.plan import UnitPlan
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

    :param counters: over all attempts.
    :param again: rows this attempt read that an earlier one had read already, at most.
    """

    unit: str
    action: Action
    counters: Counters
    seconds: float
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
) -> UnitOutcome:
    """Bring one unit's index to what its source holds.

    * never copied: copy all of it;
    * broken off: go on behind the checkpoint's cursor;
    * copied before: compare both sides by hour and copy differing hours anew: rows that were
      unsettled, appended or changed since then.

    Idempotent and resumable: repeated after any kill it reaches the same result.

    :param previous: the newest valid checkpoint of the same definition, if any.
    :raises NothingCopied: the plan counted rows, and not one was read.
    """
    began = clock.monotonic()
    upper = upper_bound(plan.unit.period, now=clock.now(), settle_lag=settle_lag)
    start = plan.unit.period.start
    counters = previous.counters if previous else Counters()
    if upper <= start:
        return UnitOutcome(plan.key, Action.TOO_YOUNG, counters, 0.0)
    if previous is not None and previous.phase is Phase.COPIED:
        request = _repair(source, target, plan, upper)
        action = Action.REPAIRED if request.ranges else Action.CURRENT
    else:
        after = previous.cursor if previous else None
        request = ReadRequest(plan, (TimeRange(start, upper),), after)
        action = Action.RESUMED if after else Action.COPIED
    findings: tuple[SourceFinding, ...] = ()
    if action is not Action.CURRENT:
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
        )
        counters, findings = outcome.counters, outcome.findings
    expected = plan.estimate.rows if plan.estimate and plan.estimate.exact else 0
    if expected and not counters.documents + counters.rejected and upper == plan.unit.period.end:
        raise NothingCopied(f"0 of {expected:,} rows were copied", where=plan.key)
    return UnitOutcome(plan.key, action, counters, clock.monotonic() - began, findings)


def _repair(source: Source, target: Target, plan: UnitPlan, upper: datetime) -> ReadRequest:
    target.prepare(plan)
    target.finish(plan)
    hours = differing_hours(source.summarise(plan, upper=upper), target.summarise(plan))
    ranges: list[TimeRange] = []
    for hour in hours:
        end = min(hour + timedelta(hours=1), upper)
        if hour >= end:
            continue
        if ranges and ranges[-1].end == hour:
            ranges[-1] = TimeRange(ranges[-1].start, end)
        else:
            ranges.append(TimeRange(hour, end))
    return ReadRequest(plan, tuple(ranges), repair=True)
