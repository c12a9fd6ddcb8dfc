"""Cut-overs: the inverse is stored first, states only move by compare-and-set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_logmigrate.core.cutover import AliasAction, Swap
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.ledger.cutovers import Cutover, CutoverState
from airflow_provider_logmigrate.ledger.ledger import Ledger

SWAP = Swap((AliasAction("remove", "i-v1", "a"), AliasAction("add", "i-v2", "a")))


def planned(ledger: Ledger, *, cutover_id: str = "s1", swap: Swap = SWAP) -> Cutover:
    return ledger.cutovers.plan(
        cutover_id=cutover_id, migration="dify", tenant="acme", swap=swap, certificates=["c1", "c2"]
    )


def test_the_inverse_is_stored_before_it_runs(ledger: Ledger) -> None:
    planned(ledger)

    stored = ledger.cutovers.get("s1")
    assert stored.state is CutoverState.PLANNED
    assert stored.actions == SWAP.actions
    assert stored.inverse == (
        AliasAction("remove", "i-v2", "a"),
        AliasAction("add", "i-v1", "a"),
    )
    assert (stored.hash, stored.certificates, stored.who) == (SWAP.hash, ("c1", "c2"), "tester")


def test_a_cutover_and_its_undoing(ledger: Ledger) -> None:
    planned(ledger)
    applied = ledger.cutovers.mark_applied("s1")
    assert ledger.cutovers.mark_applied("s1") == applied
    assert applied.applied_at is not None
    undone = ledger.cutovers.mark_rolled_back("s1", by="ops\0")
    assert ledger.cutovers.mark_rolled_back("s1", by="someone else") == undone

    assert (undone.state, undone.rolled_back_by) == (CutoverState.ROLLED_BACK, "ops\u2400")
    assert undone.rolled_back_at is not None
    assert [entry.action for entry in ledger.history.list(subject="s1")] == [
        "cutover.rolled_back",
        "cutover.applied",
        "cutover.planned",
    ]


def test_planning_again_finds_what_is_stored(ledger: Ledger) -> None:
    planned(ledger)
    ledger.cutovers.mark_applied("s1")

    assert planned(ledger).state is CutoverState.APPLIED
    with pytest.raises(PlanUnusable, match="stored with other actions, state applied"):
        planned(ledger, swap=Swap(SWAP.actions[:1]))


def test_a_failed_call_may_be_tried_again_or_undone(ledger: Ledger) -> None:
    planned(ledger)
    assert ledger.cutovers.mark_failed("s1", "timed out").failure == "timed out"
    applied = ledger.cutovers.mark_applied("s1")
    assert (applied.state, applied.failure) == (CutoverState.APPLIED, None)

    planned(ledger, cutover_id="s2")
    ledger.cutovers.mark_failed("s2", "answer lost")
    assert ledger.cutovers.mark_rolled_back("s2", by="ops").state is CutoverState.ROLLED_BACK


def test_a_cutover_that_was_undone_may_be_planned_and_applied_again(ledger: Ledger) -> None:
    planned(ledger)
    ledger.cutovers.mark_applied("s1")
    ledger.cutovers.mark_rolled_back("s1", by="ops")

    again = planned(ledger)
    assert (again.state, again.applied_at, again.rolled_back_by) == (
        CutoverState.PLANNED,
        None,
        None,
    )
    assert ledger.cutovers.mark_applied("s1").state is CutoverState.APPLIED
    assert [entry.action for entry in ledger.history.list(subject="s1")] == [
        "cutover.applied",
        "cutover.planned",
        "cutover.rolled_back",
        "cutover.applied",
        "cutover.planned",
    ]


def test_impossible_moves_are_refused(ledger: Ledger) -> None:
    planned(ledger)
    ledger.cutovers.mark_applied("s1")
    with pytest.raises(PlanUnusable, match="is applied and can't become failed"):
        ledger.cutovers.mark_failed("s1", "late")
    ledger.cutovers.mark_rolled_back("s1", by="ops")
    with pytest.raises(PlanUnusable, match="is rolled_back and can't become applied"):
        ledger.cutovers.mark_applied("s1")
    with pytest.raises(PlanUnusable, match="no such cut-over"):
        ledger.cutovers.mark_applied("s3")


def test_of_many_that_roll_back_at_once_one_does(ledger: Ledger) -> None:
    planned(ledger)
    ledger.cutovers.mark_applied("s1")
    people = [f"person {n}" for n in range(4)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda by: ledger.cutovers.mark_rolled_back("s1", by=by), people))

    assert len({one.rolled_back_by for one in found}) == 1
    actions = [entry.action for entry in ledger.history.list(subject="s1")]
    assert actions.count("cutover.rolled_back") == 1


def test_listing_shows_the_newest_first(ledger: Ledger) -> None:
    planned(ledger)
    planned(ledger, cutover_id="s2")
    ledger.cutovers.plan(
        cutover_id="s3", migration="dify", tenant="zoo", swap=SWAP, certificates=[]
    )

    assert [one.id for one in ledger.cutovers.list("dify")] == ["s3", "s2", "s1"]
    assert [one.id for one in ledger.cutovers.list("dify", tenant="acme", limit=1)] == ["s2"]
    assert ledger.cutovers.list("elsewhere") == []
