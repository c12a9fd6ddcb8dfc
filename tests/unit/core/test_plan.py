"""Plans: the hash covers what matters and nothing else; JSON keeps all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_logmigrate.core.layout import ShardNeeds, Share
from airflow_provider_logmigrate.core.plan import (
    Estimate,
    Plan,
    ReadStrategy,
    UnitPlan,
    canonical_json,
    digest,
)
from airflow_provider_logmigrate.core.unit import Period, Unit
from tests.unit.core.building import plan

SIZE = Estimate(10, 1000, exact=True, held_back=2)
ONE = plan(estimate=SIZE, body={"mappings": {"a": [1]}})
SHARE = Share("tenant_id", "t1", "t1")
TWO = plan(period=Period.from_label("2025-02"))
PLAN = Plan(
    migration="dify",
    tenant="t1",
    units=(ONE, TWO),
    options={"streams": ["runs"], "from": "2025-01-01"},
    shards=2,
    duration_seconds=1.5,
    warnings=("careful",),
)


def with_unit(**changes: Any) -> Plan:
    return replace(PLAN, units=(replace(ONE, **changes), TWO))


@pytest.mark.parametrize(
    "changed",
    [
        replace(PLAN, warnings=()),
        replace(PLAN, shards=99),
        replace(PLAN, duration_seconds=None),
        with_unit(estimate=None),
        with_unit(estimate=Estimate(11, 1, exact=False)),
        with_unit(estimate=replace(SIZE, newest=ONE.unit.period.start)),
        replace(PLAN, needs=ShardNeeds(per_tenant=4, shared=2)),
        with_unit(strategy_reason="another reason"),
        with_unit(body={"settings": {"refresh_interval": "1s"}}),
        replace(PLAN, options={"from": "2025-01-01", "streams": ["runs"]}),
    ],
)
def test_what_changes_by_itself_leaves_the_hash_alone(changed: Plan) -> None:
    assert changed.hash == PLAN.hash


@pytest.mark.parametrize(
    "changed",
    [
        replace(PLAN, migration="other"),
        replace(PLAN, tenant="t2"),
        replace(PLAN, options={}),
        replace(PLAN, options={"streams": ["runs"], "from": "2025-01-02"}),
        replace(PLAN, options={"streams": ["runs", "nodes"], "from": "2025-01-01"}),
        replace(PLAN, units=(ONE,)),
        replace(PLAN, units=()),
        replace(PLAN, units=(TWO, ONE)),
        replace(PLAN, units=(ONE, ONE, TWO)),
        with_unit(unit=replace(ONE.unit, tenant="t2")),
        with_unit(unit=replace(ONE.unit, stream="nodes")),
        with_unit(unit=replace(ONE.unit, period=Period.from_label("2025-01-01"))),
        with_unit(alias="other"),
        with_unit(tenant_alias="other"),
        with_unit(index="other"),
        with_unit(definition="d2"),
        with_unit(strategy=ReadStrategy.BY_KEY),
        with_unit(share=SHARE),
        with_unit(share=replace(SHARE, routing="t2")),
    ],
)
def test_everything_material_changes_the_hash(changed: Plan) -> None:
    assert changed.hash != PLAN.hash


@pytest.mark.parametrize(
    "original",
    [
        PLAN,
        replace(PLAN, units=(), options={}, duration_seconds=None, warnings=()),
        replace(PLAN, needs=ShardNeeds(per_tenant=4, shared=2)),
        with_unit(share=SHARE, estimate=replace(SIZE, newest=ONE.unit.period.start)),
    ],
)
def test_plans_survive_json_with_their_hash(original: Plan) -> None:
    again = Plan.from_json(json.loads(json.dumps(original.to_json())))
    assert again == original
    assert again.hash == original.hash


@pytest.mark.parametrize("tenant", ["t1", "*", "a/b", "ÄÖ,", "_61"])
@pytest.mark.parametrize("label", ["2025-01", "2024-02-29"])
@pytest.mark.parametrize("strategy", list(ReadStrategy))
def test_units_survive_json(tenant: str, label: str, strategy: ReadStrategy) -> None:
    original = plan(tenant, period=Period.from_label(label), strategy=strategy)
    again = UnitPlan.from_json(json.loads(json.dumps(original.to_json())))
    assert again == original
    assert again.material() == original.material()


def test_plans_of_before_are_read_and_have_the_same_hash() -> None:
    record = json.loads(json.dumps(PLAN.to_json()))
    del record["needs"]
    for unit in record["units"]:
        assert "share" not in unit
        if unit["estimate"]:
            del unit["estimate"]["newest"]
    again = Plan.from_json(record)
    assert again == PLAN
    assert again.hash == PLAN.hash


def test_routing_and_owner() -> None:
    assert (ONE.routing, ONE.owner) == (None, "runs/t1/2025-01")
    shared = plan("a,b", shared=True)
    assert (shared.routing, shared.owner) == ("a_2cb", "runs/*/2025-01")
    with pytest.raises(ValueError, match="not an encoded tenant"):
        Unit.from_key(shared.owner)


@pytest.mark.parametrize(
    "damage", [{"strategy": "guess"}, {"unit": "x"}, {"estimate": {"rows": 1}}]
)
def test_damaged_units_are_refused(damage: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        UnitPlan.from_json(ONE.to_json() | damage)


def test_a_missing_part_is_refused() -> None:
    for name in ONE.to_json():
        record = {key: value for key, value in ONE.to_json().items() if key != name}
        with pytest.raises(KeyError):
            UnitPlan.from_json(record)


def test_rows_count_what_is_settled() -> None:
    assert PLAN.rows == 10
    assert replace(PLAN, units=()).rows == 0


def test_canonical_json_is_the_same_for_equal_values() -> None:
    assert canonical_json({"b": 1, "a": [{"d": 1, "c": "ä"}]}) == '{"a":[{"c":"ä","d":1}],"b":1}'
    assert canonical_json((1, 2)) == canonical_json([1, 2])
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    different: list[Callable[[], Any]] = [dict, list, lambda: "", lambda: None, lambda: 0]
    assert len({digest(make()) for make in different}) == 5


def test_the_hash_is_the_same_in_another_process() -> None:
    """Python's own hashes and the order of sets differ from process to process."""
    code = (
        "from tests.unit.core.test_plan import PLAN\n"
        "from tests.unit.core.test_planning import setup\n"
        "print(PLAN.hash, setup().definition)"
    )
    from tests.unit.core.test_planning import setup

    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert runs == {f"{PLAN.hash} {setup().definition}"}
