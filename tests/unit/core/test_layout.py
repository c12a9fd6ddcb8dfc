"""A tenant's part of a shared index, and what each layout costs in shards."""

from __future__ import annotations

import json

import pytest

from airflow_provider_logmigrate.core.errors import SourceUnsuitable
from airflow_provider_logmigrate.core.layout import (
    Layout,
    ShardNeeds,
    Share,
    check_shareable,
    layout_advice,
    share_of,
)
from airflow_provider_logmigrate.core.stream import Column, ColumnKind, Stream, StreamShape

STREAM = Stream("runs", "runs", "runs", "id", "created_at", "tenant_id")


def shape(kind: ColumnKind, source_type: str) -> StreamShape:
    return StreamShape(STREAM, (Column("tenant_id", kind, source_type),))


@pytest.mark.parametrize(
    ("kind", "tenant", "value", "routing"),
    [
        (ColumnKind.TEXT, "acme", "acme", "acme"),
        (ColumnKind.TEXT, "a,b", "a,b", "a_2cb"),
        (ColumnKind.KEYWORD, "ABC", "ABC", "_41_42_43"),
        (ColumnKind.UUID, "3F2B6C1E-8A77", "3f2b6c1e-8a77", "3f2b6c1e-8a77"),
        (ColumnKind.INTEGER, "007", "7", "7"),
        (ColumnKind.INTEGER, "-3", "-3", "-3"),
        (ColumnKind.INTEGER, "seven", "seven", "seven"),
    ],
)
def test_a_share_is_what_documents_hold(
    kind: ColumnKind, tenant: str, value: str, routing: str
) -> None:
    share = share_of(shape(kind, "text"), tenant)
    assert share == Share("tenant_id", value, routing)
    assert share.filter == {"term": {"tenant_id": value}}
    assert Share.from_json(json.loads(json.dumps(share.to_json()))) == share


@pytest.mark.parametrize("source_type", ["uuid", "text", "character varying", "bigint"])
def test_what_can_be_shared(source_type: str) -> None:
    check_shareable(shape(ColumnKind.TEXT, source_type), unique_key=True)


@pytest.mark.parametrize("source_type", ["character", "citext", "numeric", "mood"])
def test_tenants_that_a_filter_would_not_find(source_type: str) -> None:
    with pytest.raises(SourceUnsuitable, match=rf"{source_type} \[runs, table runs\].*per_tenant"):
        check_shareable(shape(ColumnKind.OTHER, source_type), unique_key=True)


def test_keys_that_two_tenants_may_share() -> None:
    with pytest.raises(SourceUnsuitable, match=r"overwrite each other.*Next: create one"):
        check_shareable(shape(ColumnKind.TEXT, "text"), unique_key=False)


def test_shards_of_both_layouts() -> None:
    needs = ShardNeeds.of(tenants=500, periods=12, streams=3, shards_per_index=2)
    assert (needs.per_tenant, needs.shared) == (36_000, 72)
    assert ShardNeeds.from_json(json.loads(json.dumps(needs.to_json()))) == needs


@pytest.mark.parametrize(
    ("layout", "limit", "advice"),
    [
        (Layout.PER_TENANT, 36_000, ""),
        (Layout.PER_TENANT, 1000, "set `layout` to `shared`, which needs 72"),
        (Layout.PER_TENANT, 71, "add nodes"),
        (Layout.SHARED, 72, ""),
        (Layout.SHARED, 71, "add nodes"),
    ],
)
def test_what_is_advised(layout: Layout, limit: int, advice: str) -> None:
    said = layout_advice(ShardNeeds(per_tenant=36_000, shared=72), layout=layout, limit=limit)
    assert advice in said
    assert bool(said) is bool(advice)
