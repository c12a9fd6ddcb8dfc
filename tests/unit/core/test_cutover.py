"""Cut-over: applied to any state of aliases it is right, repeatable and exactly undone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import pytest

from airflow_provider_logmigrate.core.cutover import AliasAction, Swap, plan_swap
from airflow_provider_logmigrate.core.errors import IndexConflict
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.unit import Period
from tests.unit.core.building import plan

State = dict[str, frozenset[str]]
LABELS = ["2025-01", "2025-02", "2025-11"]


def unit(tenant: str = "t1", label: str = "2025-01", version: int = 2) -> UnitPlan:
    return plan(tenant, period=Period.from_label(label), version=version)


def apply(state: Mapping[str, frozenset[str]], actions: Iterable[AliasAction]) -> State:
    """What an engine does in one call; like one, it refuses to remove what isn't there."""
    after = {alias: set(held) for alias, held in state.items()}
    for action in actions:
        held = after.setdefault(action.alias, set())
        if action.kind == "add":
            held.add(action.index)
        else:
            assert action.index in held, f"aliases_not_found: {action}"
            held.remove(action.index)
    return {alias: frozenset(held) for alias, held in after.items() if held}


def swap_of(units: Iterable[UnitPlan], state: State) -> Swap:
    return plan_swap(units, current=state, indices=frozenset())


def test_the_first_cut_over_adds_both_aliases() -> None:
    after = apply({}, swap_of([unit()], {}).actions)
    assert after == {
        "dify-runs-t1-2025.01": {"dify-runs-t1-2025.01-v2"},
        "dify-runs-t1": {"dify-runs-t1-2025.01-v2"},
    }


def test_a_new_version_takes_the_old_ones_place_and_leaves_other_periods_alone() -> None:
    state = apply({}, swap_of([unit(version=1), unit(label="2025-02", version=1)], {}).actions)
    after = apply(state, swap_of([unit(version=2)], state).actions)
    assert after["dify-runs-t1-2025.01"] == {"dify-runs-t1-2025.01-v2"}
    assert after["dify-runs-t1-2025.02"] == {"dify-runs-t1-2025.02-v1"}
    assert after["dify-runs-t1"] == {"dify-runs-t1-2025.01-v2", "dify-runs-t1-2025.02-v1"}


def test_going_back_to_an_older_version_is_a_swap_too() -> None:
    state = apply({}, swap_of([unit(version=3)], {}).actions)
    after = apply(state, swap_of([unit(version=2)], state).actions)
    assert set(after.values()) == {frozenset({"dify-runs-t1-2025.01-v2"})}


def test_an_older_version_left_on_the_tenants_alias_alone_goes_as_well() -> None:
    """Readers of all periods saw the month twice: only the unit's alias was looked at."""
    state: State = {"dify-runs-t1": frozenset({"dify-runs-t1-2025.01-v1"})}
    after = apply(state, swap_of([unit()], state).actions)
    assert after["dify-runs-t1"] == {"dify-runs-t1-2025.01-v2"}


def test_similar_names_are_no_versions_of_the_unit() -> None:
    others = frozenset(
        {
            "dify-runs-t1-2025.01-v1x",
            "dify-runs-t1-2025x01-v1",
            "dify-runs-t1-2025.01.31-v1",
            "dify-runs-t1-2025.011-v1",
            "dify-runs-t1-2025.01-v",
            "dify-runs-t1-2025.01",
        }
    )
    state: State = {"dify-runs-t1": others}
    after = apply(state, swap_of([unit()], state).actions)
    assert after["dify-runs-t1"] == others | {"dify-runs-t1-2025.01-v2"}


def test_a_unit_named_twice_is_swapped_once() -> None:
    state: State = {"dify-runs-t1-2025.01": frozenset({"old"}), "dify-runs-t1": frozenset({"old"})}
    swap = swap_of([unit(), unit()], state)
    after = apply(state, swap.actions)
    assert apply(after, swap.inverse) == state
    assert len(set(swap.actions)) == len(swap.actions) == 4


@pytest.mark.parametrize("taken", ["dify-runs-t1-2025.01", "dify-runs-t1"])
def test_an_index_in_the_aliases_place_is_a_conflict(taken: str) -> None:
    with pytest.raises(IndexConflict, match=rf"\[{taken}\]. Next: rename it"):
        plan_swap([unit()], current={}, indices=frozenset({taken}))


def random_state(rng: random.Random) -> State:
    state: State = {}
    for tenant in ("t1", "t2"):
        for label in LABELS:
            this = unit(tenant, label)
            names = [f"{this.alias}-v{n}" for n in (1, 2, 3)] + ["foreign-1", "foreign-2"]
            if held := frozenset(rng.sample(names, k=rng.randrange(4))):
                state[this.alias] = held
            some = rng.sample(names, k=rng.randrange(4))
            state[this.tenant_alias] = state.get(this.tenant_alias, frozenset()) | {*some}
    return {alias: held for alias, held in state.items() if held}


@pytest.mark.parametrize("seed", range(150))
def test_any_state_ends_right_repeats_to_nothing_and_is_exactly_restored(seed: int) -> None:
    rng = random.Random(seed)
    state = random_state(rng)
    units = [
        unit(rng.choice(["t1", "t2"]), rng.choice(LABELS), rng.randint(1, 4))
        for _ in range(rng.randrange(5))
    ]
    units = list({u.alias: u for u in units}.values())
    swap = swap_of(units, state)
    after = apply(state, swap.actions)
    for this in units:
        assert after[this.alias] == {this.index}
        held = after[this.tenant_alias]
        assert {i for i in held if i.startswith(f"{this.alias}-v")} == {this.index}
    touched = {u.alias for u in units} | {u.tenant_alias for u in units}
    for alias in state.keys() - touched:
        assert after[alias] == state[alias]
    for this in units:
        others = state.get(this.tenant_alias, frozenset())
        gone = others - after[this.tenant_alias]
        mine = [u for u in units if u.tenant_alias == this.tenant_alias]
        behind = {i for u in mine for i in state.get(u.alias, ())}
        assert all(i in behind or any(i.startswith(f"{u.alias}-v") for u in mine) for i in gone)
    assert swap_of(units, after).actions == ()
    assert apply(after, swap.inverse) == state
    assert apply(apply(after, swap.inverse), swap.actions) == after


def test_actions_survive_json_and_the_hash_tells_swaps_apart() -> None:
    swap = swap_of([unit()], {})
    again = Swap(tuple(AliasAction.from_json(action.to_json()) for action in swap.actions))
    assert (again, again.hash) == (swap, swap.hash)
    assert swap.hash != swap_of([unit(version=3)], {}).hash
    assert swap.hash != Swap(swap.inverse).hash
    assert all(action.inverse().inverse() == action for action in swap.actions)
