"""Cut-over: applied to any state of aliases it is right, repeatable and exactly undone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from airflow_provider_logmigrate.core.cutover import AliasAction, Aliases, Swap, plan_swap
from airflow_provider_logmigrate.core.errors import IndexConflict
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.unit import Period
from tests.unit.core.building import plan

State = dict[str, dict[str, Share | None]]
LABELS = ["2025-01", "2025-02", "2025-11"]


def unit(tenant: str = "t1", label: str = "2025-01", version: int = 2) -> UnitPlan:
    return plan(tenant, period=Period.from_label(label), version=version)


def plain(*indices: str) -> dict[str, Share | None]:
    """Whole indices behind an alias."""
    return dict.fromkeys(indices)


def apply(state: Aliases, actions: Iterable[AliasAction]) -> State:
    """What an engine does in one call; like one, it refuses to remove what isn't there."""
    after = {alias: dict(held) for alias, held in state.items()}
    for action in actions:
        held = after.setdefault(action.alias, {})
        if action.kind == "add":
            held[action.index] = action.share
        else:
            assert action.index in held, f"aliases_not_found: {action}"
            assert held.pop(action.index) == action.share, "the inverse gives back what was there"
    return {alias: held for alias, held in after.items() if held}


def swap_of(units: Iterable[UnitPlan], state: State) -> Swap:
    return plan_swap(units, current=state, indices=frozenset())


def test_the_first_cut_over_adds_both_aliases() -> None:
    after = apply({}, swap_of([unit()], {}).actions)
    assert after == {
        "dify-runs-t1-2025.01": plain("dify-runs-t1-2025.01-v2"),
        "dify-runs-t1": plain("dify-runs-t1-2025.01-v2"),
    }


def test_a_new_version_takes_the_old_ones_place_and_leaves_other_periods_alone() -> None:
    state = apply({}, swap_of([unit(version=1), unit(label="2025-02", version=1)], {}).actions)
    after = apply(state, swap_of([unit(version=2)], state).actions)
    assert after["dify-runs-t1-2025.01"] == plain("dify-runs-t1-2025.01-v2")
    assert after["dify-runs-t1-2025.02"] == plain("dify-runs-t1-2025.02-v1")
    assert after["dify-runs-t1"] == plain("dify-runs-t1-2025.01-v2", "dify-runs-t1-2025.02-v1")


def test_going_back_to_an_older_version_is_a_swap_too() -> None:
    state = apply({}, swap_of([unit(version=3)], {}).actions)
    after = apply(state, swap_of([unit(version=2)], state).actions)
    assert list(after.values()) == [plain("dify-runs-t1-2025.01-v2")] * 2


def test_an_older_version_left_on_the_tenants_alias_alone_goes_as_well() -> None:
    """Readers of all periods saw the month twice: only the unit's alias was looked at."""
    state: State = {"dify-runs-t1": plain("dify-runs-t1-2025.01-v1")}
    after = apply(state, swap_of([unit()], state).actions)
    assert after["dify-runs-t1"] == plain("dify-runs-t1-2025.01-v2")


def test_similar_names_are_no_versions_of_the_unit() -> None:
    others = plain(
        "dify-runs-t1-2025.01-v1x",
        "dify-runs-t1-2025x01-v1",
        "dify-runs-t1-2025.01.31-v1",
        "dify-runs-t1-2025.011-v1",
        "dify-runs-t1-2025.01-v",
        "dify-runs-t1-2025.01",
        "dify-runs-t1-t1-2025.01-v1",
        "dify-runs-2025.02-v1",
        "dify-2025.01-v1",
    )
    state: State = {"dify-runs-t1": others}
    after = apply(state, swap_of([unit()], state).actions)
    assert after["dify-runs-t1"] == others | plain("dify-runs-t1-2025.01-v2")


def test_a_unit_named_twice_is_swapped_once() -> None:
    state: State = {"dify-runs-t1-2025.01": plain("old"), "dify-runs-t1": plain("old")}
    swap = swap_of([unit(), unit()], state)
    after = apply(state, swap.actions)
    assert apply(after, swap.inverse) == state
    assert len(set(swap.actions)) == len(swap.actions) == 4


@pytest.mark.parametrize("taken", ["dify-runs-t1-2025.01", "dify-runs-t1"])
def test_an_index_in_the_aliases_place_is_a_conflict(taken: str) -> None:
    with pytest.raises(IndexConflict, match=rf"\[{taken}\]. Next: rename it"):
        plan_swap([unit()], current={}, indices=frozenset({taken}))


def shared(tenant: str = "t1", label: str = "2025-01", version: int = 2) -> UnitPlan:
    return plan(tenant, period=Period.from_label(label), version=version, shared=True)


def any_unit(rng: random.Random, tenant: str = "") -> UnitPlan:
    make = rng.choice([unit, shared])
    return make(tenant or rng.choice(["t1", "t2"]), rng.choice(LABELS), rng.randint(1, 4))


def random_state(rng: random.Random) -> State:
    shares = [None, shared("t1").share, shared("t2").share]
    state: State = {}
    for tenant in ("t1", "t2"):
        for label in LABELS:
            this, common = unit(tenant, label), f"dify-runs-{label.replace('-', '.')}"
            names = [f"{base}-v{n}" for base in (this.alias, common) for n in (1, 2, 3)]
            names += ["foreign-1", "foreign-2"]
            if held := rng.sample(names, k=rng.randrange(4)):
                state[this.alias] = {name: rng.choice(shares) for name in held}
            some = state.setdefault(this.tenant_alias, {})
            some |= {name: rng.choice(shares) for name in rng.sample(names, k=rng.randrange(4))}
    return {alias: held for alias, held in state.items() if held}


def is_version(index: str, of: UnitPlan) -> bool:
    period = of.unit.period.label.replace("-", ".")
    return index.startswith((f"{of.alias}-v", f"dify-runs-{period}-v"))


@pytest.mark.parametrize("seed", range(150))
def test_any_state_ends_right_repeats_to_nothing_and_is_exactly_restored(seed: int) -> None:
    rng = random.Random(seed)
    state = random_state(rng)
    units = list({u.alias: u for u in (any_unit(rng) for _ in range(rng.randrange(5)))}.values())
    swap = swap_of(units, state)
    after = apply(state, swap.actions)
    for this in units:
        assert after[this.alias] == {this.index: this.share}
        held = after[this.tenant_alias]
        assert {i for i in held if is_version(i, this)} == {this.index}
        assert held[this.index] == this.share
    touched = {u.alias for u in units} | {u.tenant_alias for u in units}
    for alias in state.keys() - touched:
        assert after[alias] == state[alias]
    for this in units:
        gone = state.get(this.tenant_alias, {}).keys() - after[this.tenant_alias].keys()
        mine = [u for u in units if u.tenant_alias == this.tenant_alias]
        behind = {i for u in mine for i in state.get(u.alias, ())}
        assert all(i in behind or any(is_version(i, u) for u in mine) for i in gone)
    assert swap_of(units, after).actions == ()
    assert apply(after, swap.inverse) == state
    assert apply(apply(after, swap.inverse), swap.actions) == after


def test_a_shared_index_is_shown_in_part_only() -> None:
    after = apply({}, swap_of([shared("t1"), shared("t2")], {}).actions)
    one, two = shared("t1"), shared("t2")
    assert one.index == two.index == "dify-runs-2025.01-v2"
    assert one.share == Share("tenant_id", "t1", "t1")
    for this in (one, two):
        assert after[this.alias] == after[this.tenant_alias] == {this.index: this.share}


def test_an_alias_that_shows_too_much_is_put_right_and_given_back() -> None:
    this, other = shared("t1"), shared("t2")
    state: State = {this.alias: {this.index: None}, this.tenant_alias: {this.index: other.share}}
    swap = swap_of([this], state)
    after = apply(state, swap.actions)
    assert after == {this.alias: {this.index: this.share}, this.tenant_alias: after[this.alias]}
    assert apply(after, swap.inverse) == state


@pytest.mark.parametrize("to", [shared, unit])
def test_the_other_layout_takes_over_in_place(to: Callable[..., UnitPlan]) -> None:
    before = unit if to is shared else shared
    state = apply({}, swap_of([before(version=1), before(label="2025-02", version=1)], {}).actions)
    swap = swap_of([to(version=1)], state)
    after = apply(state, swap.actions)
    new, rest = to(version=1), before(label="2025-02", version=1)
    assert after[new.alias] == {new.index: new.share}
    assert after[new.tenant_alias] == {new.index: new.share, rest.index: rest.share}
    assert apply(after, swap.inverse) == state
    emptied = {alias: held for alias, held in state.items() if alias != new.alias}
    assert (
        apply(emptied, swap_of([new], emptied).actions)[new.tenant_alias] == after["dify-runs-t1"]
    )


def test_actions_of_before_are_read() -> None:
    record = {"kind": "add", "index": "i-v1", "alias": "a"}
    assert AliasAction.from_json(record) == AliasAction("add", "i-v1", "a")
    assert AliasAction("add", "i-v1", "a").to_json() == record


def test_actions_survive_json_and_the_hash_tells_swaps_apart() -> None:
    swap = swap_of([unit(), shared("t2")], {})
    again = Swap(
        tuple(
            AliasAction.from_json(json.loads(json.dumps(action.to_json())))
            for action in swap.actions
        )
    )
    assert (again, again.hash) == (swap, swap.hash)
    assert swap.hash != swap_of([unit(version=3)], {}).hash
    assert swap.hash != Swap(swap.inverse).hash
    assert swap.hash != Swap(tuple(replace(a, share=None) for a in swap.actions)).hash
    assert all(action.inverse().inverse() == action for action in swap.actions)
