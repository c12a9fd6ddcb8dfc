"""Opens a migration's parts in a plain process, by the same assembly as the operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from airflow_provider_logmigrate.config.entities import Migration
from airflow_provider_logmigrate.config.loader import load
from airflow_provider_logmigrate.core.plan import Plan, ReadStrategy
from airflow_provider_logmigrate.core.planning import Order, build_plan
from airflow_provider_logmigrate.core.unit import Period, periods
from airflow_provider_logmigrate.hooks.assembly import Workbench, workbench
from airflow_provider_logmigrate.hooks.connections import Lookup, ledger_url
from airflow_provider_logmigrate.ledger.ledger import Ledger
from benchmarks.wiring import MIGRATION, PlainConnection


def lookup_of(spec: Mapping[str, Any]) -> Lookup:
    """Finds connections in the job's own JSON."""

    def find(conn_id: str) -> PlainConnection:
        return PlainConnection(**spec["connections"][conn_id])

    return cast("Lookup", find)


@contextmanager
def opened(spec: Mapping[str, Any]) -> Iterator[Workbench]:
    """The workbench of one stream; ``strategy`` and ``limits`` of the job override."""
    migration = load(Path(spec["config"])).migrations[MIGRATION]
    streams = [migration.stream(name) for name in spec["streams"]]
    if forced := spec.get("strategy"):
        chosen = {stream.name: ReadStrategy(forced) for stream in streams}
        migration = replace(migration, strategies=chosen)
    migration = replace(migration, limits=replace(migration.limits, **spec.get("limits", {})))
    with workbench(migration, streams, lookup=lookup_of(spec)) as bench:
        yield bench


@contextmanager
def opened_ledger(spec: Mapping[str, Any]) -> Iterator[Ledger]:
    """The ledger, its schema made."""
    with Ledger(ledger_url(lookup_of(spec)("ledger")), who="benchmarks") as ledger:
        ledger.check()
        yield ledger


class _NothingYet:
    """Stands for a target without any index: reading alone needs no engine."""

    def versions(self, owners: Mapping[str, str]) -> Mapping[str, Mapping[int, str]]:  # noqa: ARG002
        return {}


def months_of(migration: Migration) -> list[Period]:
    """The periods of the configuration's range, which names both days."""
    assert migration.last is not None
    return list(periods(first=migration.first, last=migration.last, granularity=migration.period))


def plan_of(bench: Workbench, tenant: str) -> Plan:
    """The tenant's plan, as for an empty target."""
    migration = bench.migration
    return build_plan(
        migration=migration.name,
        tenant=tenant,
        setups=bench.setups,
        source=bench.source,
        target=_NothingYet(),
        periods=months_of(migration),
        order=Order(migration.order.value),
        options={},
        shards_per_index=migration.index.shards * (1 + migration.index.replicas),
    )
