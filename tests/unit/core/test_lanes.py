"""Lanes: every unit once, balanced, in the plan's order."""

from __future__ import annotations

import random

import pytest

from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.lanes import MAX_LANES, spread
from airflow_provider_logmigrate.core.plan import Estimate, UnitPlan
from tests.unit.core.building import plan


def units(sizes: list[int | None]) -> list[UnitPlan]:
    return [
        plan(f"t{n}", estimate=None if size is None else Estimate(size, 0, exact=True))
        for n, size in enumerate(sizes)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_every_unit_is_in_one_lane_in_plan_order(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [rng.choice([None, 0, 1, 10, 1_000_000]) for _ in range(rng.randrange(60))]
    some, lanes = units(sizes), rng.randint(1, 12)
    dealt = spread(some, lanes=lanes)
    keys = [unit.key for unit in some]
    assert sorted(key for lane in dealt for key in lane) == sorted(keys)
    assert len(dealt) == min(lanes, len(some))
    assert all(dealt)
    for lane in dealt:
        assert lane == sorted(lane, key=keys.index)
    assert spread(some, lanes=lanes) == dealt


def test_lanes_end_at_about_the_same_time() -> None:
    rng = random.Random(1)
    sizes = [rng.randrange(1000) for _ in range(200)]
    some = units([*sizes])
    rows = {unit.key: unit.estimate.rows for unit in some if unit.estimate}
    loads = [sum(rows[key] for key in lane) for lane in spread(some, lanes=4)]
    assert max(loads) - min(loads) <= max(sizes) + 200


def test_no_units_make_no_lanes() -> None:
    assert spread([], lanes=4) == []


@pytest.mark.parametrize("lanes", [0, -1, MAX_LANES + 1])
def test_an_impossible_number_of_lanes_is_refused(lanes: int) -> None:
    with pytest.raises(ConfigInvalid, match=rf"lanes is {lanes}, allowed are 1 to 256"):
        spread(units([1]), lanes=lanes)
