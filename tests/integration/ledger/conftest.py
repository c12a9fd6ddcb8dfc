"""A ledger on a database of its own, and a plan to keep in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_logmigrate.core.plan import Estimate, Plan, ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.unit import Period, Unit
from airflow_provider_logmigrate.ledger.ledger import Ledger


def unit_plan(
    label: str = "2025-01", *, definition: str = "d1", tenant: str = "Ac*me, Ltd"
) -> UnitPlan:
    unit = Unit("workflow_runs", tenant, Period.from_label(label))
    return UnitPlan(
        unit=unit,
        alias=f"runs-{label}",
        tenant_alias="runs",
        index=f"runs-{label}-v1",
        definition=definition,
        strategy=ReadStrategy.KEYSET,
        strategy_reason="an index serves",
        body={"mappings": {"properties": {"id": {"type": "keyword"}}}, "settings": {}},
        estimate=Estimate(rows=10, bytes=1000, exact=True, held_back=1),
    )


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    with Ledger(database, who="tester") as opened:
        yield opened


@pytest.fixture
def unit() -> UnitPlan:
    return unit_plan()


@pytest.fixture
def plan() -> Plan:
    return Plan(
        migration="dify",
        tenant="Ac*me, Ltd",
        units=(unit_plan("2025-02"), unit_plan("2025-01")),
        options={"streams": ["workflow_runs"], "note": "a null \0 stays one"},
        shards=2,
        duration_seconds=1.5,
        warnings=("read this",),
    )
