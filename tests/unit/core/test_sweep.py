"""A sweep's plan as data: places, parts, lanes, what is swept."""

from __future__ import annotations

import json

import pytest

from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.sweep import (
    SMALLEST_PART,
    Place,
    Relation,
    SweepPlan,
    cut_parts,
    swept_streams,
)
from tests.unit.core.sweeping import sweep_plan


def relation(name: str, blocks: int) -> Relation:
    return Relation("public", name, 1, blocks)


def test_places_are_ordered_as_rows_lie() -> None:
    assert Place(9, 12) < Place(10) < Place(10, 1) < Place(10, 2)
    assert Place.parse(str(Place(4294967294, 291))) == Place(4294967294, 291)
    with pytest.raises(ValueError, match="not a row's place"):
        Place.parse("(1,2) OR true")


@pytest.mark.parametrize("lanes", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("sizes", [(5000,), (5000, 4000, 3), (1, 1), (0,), (0, 777, 0), (130,) * 9])
def test_parts_hold_every_block_once(sizes: tuple[int, ...], lanes: int) -> None:
    relations = [("runs", relation(f"r{n}", size)) for n, size in enumerate(sizes)]

    parts = cut_parts(relations, lanes=lanes)

    for _, table in relations:
        ranges = [(part.first, part.end) for part in parts if part.relation == table]
        assert [b for first, end in ranges for b in range(first, end)] == list(range(table.blocks))
    assert [part.number for part in parts] == list(range(len(parts)))
    assert {part.lane for part in parts} <= set(range(lanes))
    assert [part.lane for part in parts] == sorted(part.lane for part in parts)


def test_lanes_share_the_blocks_of_large_tables() -> None:
    parts = cut_parts([("runs", relation("runs", 100_000))], lanes=4)
    assert [part.end - part.first for part in parts] == [25_000] * 4


def test_a_small_table_isnt_cut() -> None:
    (part,) = cut_parts([("runs", relation("runs", SMALLEST_PART))], lanes=8)
    assert (part.first, part.end) == (0, SMALLEST_PART)


def test_a_plan_survives_json() -> None:
    plan = sweep_plan("t1", "*", lanes=3)
    again = SweepPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.hash == plan.hash
    assert again.units[0].body == {"mappings": {}, "settings": {}}
    assert plan.lanes() == [[0], [1], [2]]


def test_a_body_is_stored_once_for_all_units() -> None:
    plan = sweep_plan(*(f"t{n}" for n in range(50)))
    text = json.dumps(plan.to_json())
    assert text.count('"mappings"') == 1


def test_what_is_swept_and_why() -> None:
    by_key, keyset, sweep = ReadStrategy.BY_KEY, ReadStrategy.KEYSET, ReadStrategy.SWEEP
    chosen = {"a": by_key, "b": keyset, "c": sweep}

    found = swept_streams(chosen, {"c": sweep}, tenants=3)
    assert set(found) == {"a", "c"}
    assert "3 tenants" in found["a"]
    assert "forced" in found["c"]
    assert set(swept_streams(chosen, {"c": sweep}, tenants=1)) == {"c"}
    assert set(swept_streams({"a": by_key}, {"a": by_key}, tenants=3)) == set()
