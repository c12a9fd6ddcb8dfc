"""Plans by hash."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.plan import Plan
from airflow_provider_logmigrate.ledger.ledger import Ledger


def test_a_plan_comes_back_as_it_was(ledger: Ledger, plan: Plan) -> None:
    assert ledger.plans.save(plan) == plan.hash

    loaded = ledger.plans.load(plan.hash)
    assert loaded == plan
    assert loaded.hash == plan.hash


def test_saving_again_is_idempotent_and_refreshes_what_the_hash_leaves_out(
    ledger: Ledger, database: str, plan: Plan
) -> None:
    later = replace(plan, warnings=("newer",))
    assert ledger.plans.save(plan) == ledger.plans.save(plan) == ledger.plans.save(later)

    assert ledger.plans.load(plan.hash) == later
    assert [entry.action for entry in ledger.history.list()] == ["plan.saved"]


def test_an_unknown_plan_is_refused(ledger: Ledger) -> None:
    with pytest.raises(PlanUnusable, match="no such plan"):
        ledger.plans.load("f" * 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("replace(body::text, '2025-01-v1', '2025-01-v9')::json", "isn't what was saved"),
        ("'{}'", "can't be read"),
        ("'[]'", "can't be read"),
    ],
)
def test_a_plan_changed_by_hand_is_refused(
    ledger: Ledger, database: str, plan: Plan, change: str, message: str
) -> None:
    ledger.plans.save(plan)
    with psycopg.connect(database) as connection:
        connection.execute(f"UPDATE logmigrate.plan SET body = {change}")

    with pytest.raises(PlanUnusable, match=message):
        ledger.plans.load(plan.hash)
