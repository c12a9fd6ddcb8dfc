"""Which documents are due, what forbids it, and what one plan holds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.purge import Hold
from airflow_provider_logmigrate.core.retention import build_retention_plan, judge, same_deletion
from airflow_provider_logmigrate.core.retention_facts import (
    ClauseFacts,
    IndexFacts,
    IndexLook,
    PartFacts,
)
from airflow_provider_logmigrate.core.retention_plan import Action, RetentionPlan
from airflow_provider_logmigrate.core.retention_rules import RetentionRule, RetentionRules
from airflow_provider_logmigrate.core.unit import Period, Unit

MONTH = Period.from_label("2025-01")
AS_OF = datetime(2025, 6, 1, tzinfo=timezone.utc)
NEWEST = datetime(2025, 1, 20, tzinfo=timezone.utc)
DAYS = timedelta(days=1)
RULES = RetentionRules(default=90 * DAYS)
DONE = RetentionRule(30 * DAYS, where=(("status", ("done", "stopped")),))


def part(tenant: str = "acme", *counts: int, newest: datetime = NEWEST, **more: Any) -> PartFacts:
    clauses = tuple(ClauseFacts(count, newest if count else None) for count in counts or (5,))
    share = Share("tenant", tenant, tenant) if more.pop("shared", False) else None
    return PartFacts(Unit("runs", tenant, MONTH), share, clauses, **more)


def index(*parts: PartFacts, documents: int | None = None, **look: Any) -> IndexFacts:
    seen = IndexLook("runs-2025.01-v1", "u1", MONTH, ours=True, aliases=("b", "a"))
    total = sum(c.documents for p in parts for c in p.clauses) if documents is None else documents
    return IndexFacts(replace(seen, **look), total, parts)


def test_an_index_goes_whole_when_its_youngest_document_is_too_old() -> None:
    item = judge(index(part()), RULES, as_of=AS_OF).item
    assert item is not None
    assert (item.action, item.documents, item.aliases) == (Action.DROP, 5, ("a", "b"))
    assert item.units == ("runs/acme/2025-01",)
    assert list(item.why) == [
        "5 documents of runs/acme/2025-01, the youngest of 2025-01-20: they go after 90 days"
    ]


@pytest.mark.parametrize(("later", "due"), [(timedelta(0), False), (timedelta.resolution, True)])
def test_the_age_counts_to_the_moment(later: timedelta, due: bool) -> None:
    as_of = NEWEST + 90 * DAYS + later
    assert (judge(index(part()), RULES, as_of=as_of).item is not None) is due


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (index(part(), ours=False), "isn't this migration's"),
        (index(part(), write_aliases=("w",)), "it is the write index of w"),
        (index(part(), data_stream="logs"), "it belongs to the data stream logs"),
        (index(part(), managed_by="30d-delete"), "the lifecycle policy 30d-delete"),
        (index(part(), closed=True), "it is closed"),
        (index(part(), period=Period.from_label("2025-06")), "its period is open"),
        (index(part(), strange_fields={"n": "it doesn't have"}), "the field n, which it doesn't"),
        (index(part("acme", 0)), "it holds no documents"),
        (index(documents=3), "no unit that the ledger knows is in it"),
        (index(part(copied=False)), "its copy isn't finished"),
        (index(part(purging=True)), "an interrupted purge"),
        (index(part(only_here=2)), "2 documents have no row in the source"),
        (index(part(only_here=None)), "the source can't be asked"),
        (
            index(replace(part(), clauses=(ClauseFacts(5, NEWEST, timeless=1),))),
            "1 of 5 documents have no event time",
        ),
        (index(replace(part(), clauses=(ClauseFacts(5, None, 5),))), "5 of 5 documents have no"),
    ],
)
def test_everything_that_forbids_it_has_its_reason(facts: IndexFacts, reason: str) -> None:
    judgement = judge(facts, RULES, as_of=AS_OF)
    assert judgement.item is None
    assert reason in "; ".join(judgement.kept)


def test_a_period_is_open_until_its_last_rows_have_settled() -> None:
    rules = replace(RULES, default=timedelta(0), settle_lag=timedelta(minutes=15))
    for late, due in ((timedelta(minutes=14), False), (timedelta(minutes=15), True)):
        assert (judge(index(part()), rules, as_of=MONTH.end + late).item is not None) is due


@pytest.mark.parametrize(
    ("rules", "facts"),
    [
        (replace(RULES, allow_managed=True), index(part(), managed_by="30d-delete")),
        (replace(RULES, allow_last_copy=True), index(part(only_here=2))),
        (replace(RULES, allow_last_copy=True), index(part(only_here=None))),
    ],
)
def test_two_refusals_can_be_allowed(rules: RetentionRules, facts: IndexFacts) -> None:
    assert judge(facts, rules, as_of=AS_OF).item is not None


def test_the_first_rule_that_fits_decides() -> None:
    rules = RetentionRules(
        default=None,
        rules=(
            RetentionRule(7 * DAYS, stream="other"),
            RetentionRule(None, tenant="held"),
            DONE,
            RetentionRule(60 * DAYS, stream="runs"),
            RetentionRule(1 * DAYS),
        ),
    )
    done, rest = rules.clauses("runs", "acme")
    assert (done.after, done.where, done.unless) == (30 * DAYS, DONE.where, ())
    assert (rest.after, rest.where, rest.unless) == (60 * DAYS, (), (DONE.where,))
    assert [c.after for c in rules.clauses("runs", "held")] == [None]
    assert [c.after for c in rules.clauses("steps", "acme")] == [30 * DAYS, 1 * DAYS]
    assert str(done) == "after 30 days, where status is done or stopped"


def test_documents_go_by_a_query_until_nothing_else_is_left() -> None:
    rules = replace(RULES, rules=(DONE,))
    early = NEWEST + 60 * DAYS
    item = judge(index(part("acme", 3, 2)), rules, as_of=early).item
    assert item is not None
    assert (item.action, item.documents, item.total) == (Action.DELETE, 3, 5)
    assert item.slices[0].before == (early - 30 * DAYS).isoformat()

    whole = judge(index(part("acme", 0, 2)), rules, as_of=AS_OF).item
    assert whole is not None
    assert whole.action is Action.DROP


def test_a_tenants_hold_keeps_its_share_and_the_index() -> None:
    rules = replace(RULES, holds=(Hold(tenant="beta"),))
    facts = index(part("acme", shared=True), part("beta", 7, shared=True))
    judgement = judge(facts, rules, as_of=AS_OF)
    assert judgement.item is not None
    assert (judgement.item.action, judgement.item.units) == (
        Action.DELETE,
        ("runs/acme/2025-01",),
    )
    assert judgement.kept == ("runs/beta/2025-01: it is under legal hold",)


def test_a_tenant_that_is_being_copied_keeps_the_shared_index() -> None:
    """Its documents may not be visible yet."""
    facts = index(part("acme", shared=True), part("beta", 0, shared=True, copied=False))
    item = judge(facts, RULES, as_of=AS_OF).item
    assert item is not None
    assert item.action is Action.DELETE


def test_documents_of_nobody_keep_a_shared_index() -> None:
    item = judge(index(part("acme", shared=True), documents=6), RULES, as_of=AS_OF).item
    assert item is not None
    assert item.action is Action.DELETE


def test_a_plan_is_capped_oldest_first_and_survives_the_ledger() -> None:
    judged = {
        f"i{number}": judge(
            index(part(newest=NEWEST - number * DAYS), name=f"i{number}"), RULES, as_of=AS_OF
        )
        for number in range(4)
    }
    few = replace(RULES, max_indices=2)
    plan = build_retention_plan("m", judged, few, as_of=AS_OF)
    assert [item.index for item in plan.items] == ["i3", "i2"]
    assert plan.kept.keys() == {"i0", "i1"}
    small = build_retention_plan("m", judged, replace(RULES, max_documents=9), as_of=AS_OF)
    assert [item.index for item in small.items] == ["i3"]
    assert "may delete 9 documents, 4 are left, and 5 are due" in small.kept["i2"][0]

    again = RetentionPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.hash == plan.hash
    assert replace(plan, kept={}).hash == plan.hash
    assert replace(plan, as_of=AS_OF + DAYS).hash != plan.hash


def test_a_plan_with_shares_and_fields_survives_the_ledger() -> None:
    rules = replace(RULES, rules=(DONE,))
    item = judge(index(part("acme", 3, 2, shared=True)), rules, as_of=AS_OF).item
    assert item is not None
    plan = RetentionPlan("m", AS_OF, (item,))
    assert RetentionPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_what_goes_must_be_what_was_planned() -> None:
    planned = judge(index(part()), RULES, as_of=AS_OF).item
    assert planned is not None
    assert same_deletion(planned, planned, begun=False)
    for changed in (
        None,
        replace(planned, uuid="u2"),
        replace(planned, total=6),
        replace(planned, aliases=("a",)),
        replace(planned, slices=(replace(planned.slices[0], documents=4),)),
    ):
        for begun in (False, True):
            assert not same_deletion(planned, changed, begun=begun)


def test_a_query_that_was_interrupted_may_go_on_with_less_but_never_with_more() -> None:
    rules = replace(RULES, rules=(DONE,))
    early = NEWEST + 60 * DAYS
    planned = judge(index(part("acme", 3, 2)), rules, as_of=early).item
    less = judge(index(part("acme", 1, 2)), rules, as_of=early).item
    more = judge(index(part("acme", 4, 2)), rules, as_of=early).item
    assert planned is not None
    assert same_deletion(planned, less, begun=True)
    assert not same_deletion(planned, less, begun=False)
    assert not same_deletion(planned, more, begun=True)


def test_a_unit_is_reached_when_its_first_document_may_be_too_old() -> None:
    rules = RetentionRules(default=None, rules=(DONE,))
    start = MONTH.start
    assert not rules.reaches("runs", "acme", start, as_of=start + 30 * DAYS)
    assert rules.reaches("runs", "acme", start, as_of=start + 31 * DAYS)
    assert not RetentionRules().reaches("runs", "acme", start, as_of=AS_OF)
