"""Copying one part of a sweep: the copy loop, with a part of a table in the place of a unit.

Everything that makes the copy of a unit safe holds here as well, because it is the same loop: the
watermark, the checkpoint behind it, bounded memory, pressure, the way out. What is added: each
document belongs to a unit, and what becomes of it is counted there, exactly as far as the position
says. What concerns one unit (a newer attempt has it, its index isn't ours, too many of its
documents are rejected) ends the sweep of that unit, never that of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from airflow_provider_logmigrate.core.checkpoint import Counters
from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.copy import copy
from airflow_provider_logmigrate.core.pace import Pace
from airflow_provider_logmigrate.core.part_ports import (
    PartKeeping,
    PartReading,
    PartWriting,
    cursor_of,
    stand_in,
)
from airflow_provider_logmigrate.core.ports import CopyLimits, ReadRequest
from airflow_provider_logmigrate.core.sweep import Part, SweepPlan
from airflow_provider_logmigrate.core.sweep_ports import (
    MixedTarget,
    PartJournal,
    PartRecord,
    PartSource,
)
from airflow_provider_logmigrate.core.sweep_units import SweptUnits, Tally


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """What became of a part.

    :param counters: over all attempts.
    :param skipped: rows that weren't written, by reason.
    :param written: documents acknowledged in this attempt.
    """

    part: Part
    counters: Counters
    skipped: Mapping[str, int]
    seconds: float
    written: int


def sweep_part(
    *,
    source: PartSource,
    target: MixedTarget,
    journal: PartJournal,
    plan: SweepPlan,
    part: Part,
    previous: PartRecord,
    limits: CopyLimits,
    clock: Clock,
    stop: Stop,
    pace: Pace | None = None,
) -> PartOutcome:
    """Copy a part from its last checkpoint on. Idempotent and resumable at any row.

    The units' indices keep their load settings: other parts may still write to them.

    :param previous: the part's last checkpoint.
    :param limits: ``max_rejected`` holds for each unit.
    :raises Interrupted: ``stop`` was set; the checkpoint is durable.
    :raises Fenced: a newer attempt has the part.
    """
    began = clock.monotonic()
    units = SweptUnits(plan.units_of(part.stream), target, journal)
    tally = Tally(previous)
    copied = copy(
        source=PartReading(source, plan, part, previous.place, units),
        target=PartWriting(target, units, tally),
        journal=PartKeeping(journal, part, units, tally, max_rejected=limits.max_rejected),
        request=ReadRequest(
            stand_in(plan, part),
            (),
            None if previous.place == part.start else cursor_of(previous.place),
        ),
        counters=previous.counters,
        upper=plan.ripe,
        # Of one unit; the bound for the whole part only mustn't be in the way of that.
        limits=replace(limits, max_rejected=limits.max_rejected * max(1, len(plan.units))),
        clock=clock,
        stop=stop,
        pace=pace,
    )
    return PartOutcome(
        part,
        copied.counters,
        tally.skipped,
        clock.monotonic() - began,
        copied.counters.documents - previous.counters.documents,
    )
