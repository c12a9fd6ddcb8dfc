"""Planning: which units, which index version, and what a person has to read first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import TenantInvalid
from airflow_provider_logmigrate.core.layout import Layout, Share
from airflow_provider_logmigrate.core.naming import IndexNames
from airflow_provider_logmigrate.core.plan import Estimate, Plan, ReadStrategy
from airflow_provider_logmigrate.core.planning import (
    Order,
    StreamSetup,
    build_plan,
    choose_version,
)
from airflow_provider_logmigrate.core.stream import (
    Column,
    ColumnKind,
    JsonMode,
    Offload,
    SettledBy,
    Stream,
    StreamShape,
)
from airflow_provider_logmigrate.core.unit import Period

MONTHS = [Period.from_label(f"2025-{month:02d}") for month in (1, 2, 3)]
COLUMNS = (
    Column("created_at", ColumnKind.TIMESTAMP, "timestamp"),
    Column("id", ColumnKind.UUID, "uuid"),
    Column("inputs", ColumnKind.JSON, "text", variable=True),
    Column("tenant_id", ColumnKind.KEYWORD, "character varying"),
)


def setup(name: str = "runs", **changes: Any) -> StreamSetup:
    stream = Stream(name, name, name, "id", "created_at", "tenant_id")
    values: dict[str, Any] = {
        "shape": StreamShape(stream, COLUMNS),
        "names": IndexNames("dify", name),
        "strategy": ReadStrategy.KEYSET,
        "strategy_reason": "an index serves it",
        "body": {"mappings": {"dynamic": False}, "settings": {"index": {}}},
        "material_settings": {"number_of_shards": 1},
    }
    return StreamSetup(**values | changes)


class Source:
    """Estimates by stream and period."""

    def __init__(self, counts: Mapping[str, Mapping[Period, Estimate]], *, known: bool = True):
        self.counts = counts
        self.known = known

    def survey(
        self, stream: str, tenant: str, periods: Sequence[Period]
    ) -> Mapping[Period, Estimate]:
        return {p: e for p, e in self.counts.get(stream, {}).items() if p in periods}

    def has_tenant(self, stream: str, tenant: str) -> bool:
        return self.known


class Target:
    """Existing versions by name; remembers what was asked for."""

    def __init__(self, versions: Mapping[str, Mapping[int, str]] | None = None):
        self.existing = versions or {}
        self.asked: list[Mapping[str, str]] = []

    def versions(self, owners: Mapping[str, str]) -> Mapping[str, Mapping[int, str]]:
        self.asked.append(owners)
        return {name: self.existing[name] for name in owners if name in self.existing}


def rows(count: int, *, held_back: int = 0) -> Estimate:
    return Estimate(count, 2000 * count, exact=True, held_back=held_back)


def build(
    source: Source,
    *,
    setups: Sequence[StreamSetup] = (),
    target: Target | None = None,
    order: Order = Order.NEWEST_FIRST,
    periods: Sequence[Period] = MONTHS,
) -> Plan:
    return build_plan(
        migration="dify",
        tenant="t1",
        setups=setups or [setup()],
        source=source,
        target=target or Target(),
        periods=periods,
        order=order,
        options={"streams": ["runs"]},
        shards_per_index=2,
    )


def test_every_period_with_rows_is_a_unit_in_the_wanted_order() -> None:
    source = Source({"runs": {MONTHS[1]: rows(5), MONTHS[0]: rows(7)}})
    plan = build(source)
    assert [unit.key for unit in plan.units] == ["runs/t1/2025-02", "runs/t1/2025-01"]
    oldest = build(source, order=Order.OLDEST_FIRST)
    assert [unit.key for unit in oldest.units] == ["runs/t1/2025-01", "runs/t1/2025-02"]
    assert (plan.rows, plan.shards) == (12, 4)
    first = plan.units[0]
    assert first.alias == "dify-runs-t1-2025.02"
    assert (first.index, first.tenant_alias) == (f"{first.alias}-v1", "dify-runs-t1")


@pytest.mark.parametrize("order", list(Order))
def test_streams_keep_their_order_within_a_period(order: Order) -> None:
    counts = {name: {MONTHS[0]: rows(1), MONTHS[1]: rows(1)} for name in ("runs", "nodes", "logs")}
    setups = [setup(name) for name in ("runs", "nodes", "logs")]
    streams = [unit.unit.stream for unit in build(Source(counts), setups=setups, order=order).units]
    assert streams == ["runs", "nodes", "logs"] * 2


def test_the_duration_follows_the_slower_of_rows_and_bytes() -> None:
    many = {MONTHS[0]: Estimate(1_000_000, 1_000_000, exact=True)}
    large = {MONTHS[0]: Estimate(10, 2_000_000_000, exact=True)}
    assert build(Source({"runs": many})).duration_seconds == pytest.approx(100)
    assert build(Source({"runs": large})).duration_seconds == pytest.approx(100)


def test_held_back_rows_and_slow_reads_are_warned_about() -> None:
    source = Source({"runs": {MONTHS[0]: rows(1, held_back=1234)}})
    slow = setup(strategy=ReadStrategy.BY_KEY, strategy_reason="no index serves it", notes=("n",))
    assert build(source, setups=[slow, slow]).warnings == (
        "n",
        "runs: 1,234 unsettled rows are held back",
        "runs: read by_key: no index serves it",
    )


def test_a_stream_without_rows_is_not_warned_about() -> None:
    """The warning came for every stream behind the first one that had rows."""
    source = Source({"runs": {MONTHS[0]: rows(1)}})
    slow = setup("nodes", strategy=ReadStrategy.BY_PARENT)
    assert build(source, setups=[setup(), slow]).warnings == ()


def test_a_unit_of_unsettled_rows_only_is_planned() -> None:
    plan = build(Source({"runs": {MONTHS[0]: rows(0, held_back=3)}}))
    assert [unit.key for unit in plan.units] == ["runs/t1/2025-01"]


def test_an_unknown_tenant_is_told_apart_from_an_empty_range() -> None:
    with pytest.raises(TenantInvalid, match=r"\[t1\]. Next: check the tenant's spelling"):
        build(Source({}, known=False))
    plan = build(Source({}))
    assert plan.units == ()
    assert plan.warnings == ("the tenant has rows, but none in this range",)


def test_an_index_of_the_same_definition_is_continued() -> None:
    source = Source({"runs": {MONTHS[0]: rows(1)}})
    same = setup().definition
    alias = "dify-runs-t1-2025.01"
    for existing, version in [
        ({}, 1),
        ({1: same}, 1),
        ({1: "older"}, 2),
        ({1: same, 2: "newer"}, 1),
        ({1: same, 2: same, 3: "x"}, 2),
        ({4: "x"}, 5),
    ]:
        plan = build(source, target=Target({alias: existing}))
        assert plan.units[0].index == f"{alias}-v{version}"
        assert choose_version(existing, same) == version


def test_one_question_about_versions_for_all_units() -> None:
    counts = {name: {month: rows(1) for month in MONTHS} for name in ("runs", "nodes")}
    target = Target()
    build(Source(counts), setups=[setup("runs"), setup("nodes")], target=target)
    (asked,) = target.asked
    assert len(asked) == 6
    assert asked["dify-nodes-t1-2025.03"] == "nodes/t1/2025-03"
    nobody = Target()
    build(Source({}), target=nobody)
    assert nobody.asked == []


def test_units_of_a_shared_layout() -> None:
    source = Source({"runs": {MONTHS[0]: rows(1), MONTHS[1]: rows(2)}})
    shared = setup(layout=Layout.SHARED)
    target = Target(
        {"dify-runs-2025.01": {1: "older"}, "dify-runs-2025.02": {3: shared.definition}}
    )
    plan = build(source, setups=[shared], target=target)
    assert target.asked == [
        {"dify-runs-2025.01": "runs/*/2025-01", "dify-runs-2025.02": "runs/*/2025-02"}
    ]
    february, january = plan.units
    assert (january.index, february.index) == ("dify-runs-2025.01-v2", "dify-runs-2025.02-v3")
    assert (january.alias, january.tenant_alias) == ("dify-runs-t1-2025.01", "dify-runs-t1")
    assert january.share == Share("tenant_id", "t1", "t1")
    assert plan.shards == 2, "two shards of one new index"
    assert build(source).units[0].share is None


def test_planning_twice_gives_the_same_hash_and_new_rows_do_not_change_it() -> None:
    first = build(Source({"runs": {MONTHS[0]: rows(1)}}))
    assert build(Source({"runs": {MONTHS[0]: rows(99, held_back=4)}})).hash == first.hash
    assert build(Source({"runs": {MONTHS[1]: rows(1)}})).hash != first.hash


def shape_with(**changes: Any) -> StreamShape:
    return replace(setup().shape, **changes)


def with_inputs(**changes: Any) -> tuple[Column, ...]:
    return (*COLUMNS[:2], replace(COLUMNS[2], **changes), *COLUMNS[3:])


def stream_with(**changes: Any) -> StreamShape:
    return shape_with(stream=replace(setup().shape.stream, **changes))


@pytest.mark.parametrize(
    "changed",
    [
        setup(body={"mappings": {"dynamic": True}, "settings": {"index": {}}}),
        setup(material_settings={"number_of_shards": 2}),
        setup(shape=shape_with(columns=COLUMNS[:2])),
        setup(shape=shape_with(columns=with_inputs(source_type="json"))),
        setup(shape=shape_with(columns=with_inputs(json_mode=JsonMode.OBJECT))),
        setup(shape=shape_with(offload=Offload("l", "r", "c", "f", "t", "i", "k"))),
        setup(shape=stream_with(table="other")),
        setup(shape=stream_with(key="other")),
        setup(shape=stream_with(event_time="other")),
        setup(shape=stream_with(tenant_column="other")),
        setup(shape=stream_with(settled=SettledBy("status", ("done",)))),
    ],
)
def test_the_definition_covers_what_documents_look_like(changed: StreamSetup) -> None:
    assert changed.definition != setup().definition


@pytest.mark.parametrize(
    "changed",
    [
        setup(strategy=ReadStrategy.BY_KEY),
        setup(strategy_reason="another"),
        setup(notes=("note",)),
        setup(names=IndexNames("other", "runs")),
        setup(body={"mappings": {"dynamic": False}, "settings": {"index": {"replicas": 5}}}),
        setup(shape=shape_with(notes=("a column is new",))),
    ],
)
def test_the_definition_leaves_out_what_can_change_later(changed: StreamSetup) -> None:
    assert changed.definition == setup().definition
