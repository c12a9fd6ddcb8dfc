"""Sweeps in the ledger: positions behind a fence, counts by unit, one open sweep per migration."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from airflow_provider_logmigrate.core.checkpoint import Counters
from airflow_provider_logmigrate.core.errors import Fenced, PlanUnusable
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Rejected
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.core.sweep import (
    Place,
    Relation,
    SweepPlan,
    SweptStream,
    cut_parts,
)
from airflow_provider_logmigrate.core.sweep_ports import PartRecord
from airflow_provider_logmigrate.core.unit import Granularity
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.ledger.part_journal import LedgerPartJournal
from tests.integration.ledger.conftest import unit_plan

FIRST, SECOND = unit_plan("2025-01"), unit_plan("2025-02")


def sweep_plan() -> SweepPlan:
    period = FIRST.unit.period
    stream = SweptStream("workflow_runs", "no\0 index", "d1", 10, FIRST.body)
    table = Relation("public", 'odd " name', 1234, 5000)
    return SweepPlan(
        migration="dify",
        granularity=Granularity.MONTH,
        first=period.start,
        end=SECOND.unit.period.end,
        ripe=period.end,
        tenants=(FIRST.unit.tenant,),
        streams=(stream,),
        units=(FIRST, SECOND),
        parts=cut_parts([("workflow_runs", table)], lanes=2),
    )


def test_a_plan_is_loaded_as_it_was_kept(ledger: Ledger) -> None:
    number = ledger.sweeps.begin(sweep_plan())
    assert ledger.sweeps.load(number) == sweep_plan()
    assert ledger.sweeps.unfinished("dify") == number
    assert [part.swept for part in ledger.sweep_parts.list(number)] == [False, False]


def test_a_plan_that_was_changed_by_hand_is_refused(ledger: Ledger, database: str) -> None:
    number = ledger.sweeps.begin(sweep_plan())
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE logmigrate.sweep"
            " SET body = replace(body::text, '\"end\": 5000', '\"end\": 4000')::json"
        )
    with pytest.raises(PlanUnusable, match="isn't what was saved"):
        ledger.sweeps.load(number)
    with pytest.raises(PlanUnusable, match="no such sweep"):
        ledger.sweeps.load(number + 1)


def test_a_new_sweep_takes_the_place_of_an_open_one(ledger: Ledger) -> None:
    old = ledger.sweeps.begin(sweep_plan())
    other = ledger.sweeps.begin(replace(sweep_plan(), migration="other"))
    new = ledger.sweeps.begin(sweep_plan())
    with pytest.raises(PlanUnusable, match="another sweep took its place"):
        ledger.sweeps.load(old)
    assert ledger.sweeps.unfinished("dify") == new > old
    assert ledger.sweeps.unfinished("other") == other
    ledger.sweeps.settled(new)
    ledger.sweeps.settled(new)
    assert ledger.sweeps.unfinished("dify") is None
    assert ledger.sweeps.load(new) == sweep_plan()
    entries = ledger.history.list(subject=f"dify/sweep {new}")
    assert [entry.action for entry in entries] == ["sweep.settled", "sweep.planned"]


def test_a_position_is_kept_with_its_counts(ledger: Ledger) -> None:
    plan = sweep_plan()
    number, part = ledger.sweeps.begin(plan), plan.parts[0]
    attempt = ledger.units.begin_attempt()
    began = ledger.sweep_parts.claim(number, part, attempt=attempt, holder="a test")
    assert began.record == PartRecord(part.start)

    some = Counters(5, 4, 1, 999)
    records = [
        PartRecord(Place(7, 3), some, {"held_back": 2}, {FIRST.key: some}),
        PartRecord(Place(9), some + some, {"held_back": 3}, {SECOND.key: some}),
    ]
    for record in records:
        ledger.sweep_parts.checkpoint(number, part, record, swept=False, attempt=attempt)

    again = ledger.sweep_parts.claim(number, part, attempt=attempt + 1, holder="another")
    assert again.record == PartRecord(
        Place(9), some + some, {"held_back": 3}, {FIRST.key: some, SECOND.key: some}
    )
    assert not again.swept
    ledger.sweep_parts.checkpoint(number, part, again.record, swept=True, attempt=attempt + 1)
    assert [state.swept for state in ledger.sweep_parts.list(number)] == [True, False]


def test_only_the_newest_attempt_writes(ledger: Ledger) -> None:
    plan = sweep_plan()
    number, part = ledger.sweeps.begin(plan), plan.parts[0]
    old, new = ledger.units.begin_attempt(), ledger.units.begin_attempt()
    ledger.sweep_parts.claim(number, part, attempt=old, holder="old")
    ledger.sweep_parts.claim(number, part, attempt=new, holder="new")
    ledger.sweep_parts.claim(number, part, attempt=new, holder="new")
    parts, unit = ledger.sweep_parts, FIRST.key
    record = PartRecord(Place(1))
    for call in (
        lambda: parts.claim(number, part, attempt=old, holder="old"),
        lambda: parts.checkpoint(number, part, record, swept=True, attempt=old),
        lambda: parts.open_unit(number, part, unit, attempt=old),
        lambda: parts.leave_unit(number, part, unit, "why", attempt=old),
        lambda: parts.check(number, part, attempt=old),
    ):
        with pytest.raises(Fenced, match=r"taken over by attempt.*new"):
            call()
    assert parts.units(number) == {}
    assert parts.list(number)[0].record.place == part.start


def test_a_units_counts_are_summed_over_the_parts(ledger: Ledger) -> None:
    plan = sweep_plan()
    number = ledger.sweeps.begin(plan)
    for count, part in enumerate(plan.parts, start=1):
        attempt = ledger.units.begin_attempt()
        ledger.sweep_parts.claim(number, part, attempt=attempt, holder="a test")
        counted = {FIRST.key: Counters(count, count, 0, 10)}
        ledger.sweep_parts.checkpoint(
            number, part, PartRecord(part.start, units=counted), swept=False, attempt=attempt
        )
    ledger.sweep_parts.open_unit(number, part, SECOND.key, attempt=attempt)
    ledger.sweep_parts.leave_unit(number, part, SECOND.key, "not\0 ours", attempt=attempt)
    found = ledger.sweep_parts.units(number)
    assert found[FIRST.key].counters == Counters(3, 3, 0, 20)
    assert not found[FIRST.key].left
    assert found[SECOND.key].left == "not␀ ours"


def journal(ledger: Ledger, number: int, plan: SweepPlan, seen: list[object]) -> LedgerPartJournal:
    part = plan.parts[0]
    attempt = ledger.units.begin_attempt()
    ledger.sweep_parts.claim(number, part, attempt=attempt, holder="a test")
    return LedgerPartJournal(
        ledger=ledger,
        migration="dify",
        number=number,
        part=part,
        attempt=attempt,
        holder="a test",
        on_progress=seen.append,
        on_checkpoint=seen.append,
    )


def test_a_unit_is_held_by_the_sweeps_number(ledger: Ledger) -> None:
    plan, seen = sweep_plan(), list[object]()
    number = ledger.sweeps.begin(plan)
    kept = journal(ledger, number, plan, seen)

    def rejected(unit: UnitPlan) -> None:
        kept.dead_letters(unit, [Rejected("k", 400, "mapping", "refused", b"{}")])

    assert kept.open(FIRST)
    rejected(FIRST)
    state = ledger.units.state("dify", FIRST.key)
    assert state is not None
    assert state.attempt == number

    newer = ledger.units.begin_attempt()
    ledger.units.claim("dify", FIRST, attempt=newer, holder="the tenant's own backfill")
    with pytest.raises(Fenced):
        rejected(FIRST)
    assert not kept.open(FIRST)
    kept.leave(FIRST, "a newer attempt copies it")
    assert ledger.sweep_parts.units(number)[FIRST.key].left


def test_progress_of_a_lost_part_isnt_shown(ledger: Ledger) -> None:
    plan, seen = sweep_plan(), list[object]()
    number = ledger.sweeps.begin(plan)
    old = journal(ledger, number, plan, seen)
    old.checkpoint(PartRecord(Place(4, 2)), swept=False)
    assert seen == [{"sweep": number, "part": 0, "place": "(4,2)"}]
    journal(ledger, number, plan, [])
    with pytest.raises(Fenced):
        old.progress(Progress("part", None, 1, 0, 1, 0.0, None))
    assert len(seen) == 1
