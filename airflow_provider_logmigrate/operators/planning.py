"""From an opened migration to a plan: shared by DryRunOperator and ``airflow logmigrate plan``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import IndexConflict, TenantInvalid
from airflow_provider_logmigrate.core.planning import build_plan
from airflow_provider_logmigrate.stores.postgres.preflight import explain_page

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.plan import Plan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.operators.options import RunOptions


def make_plan(bench: Workbench, tenant: str, options: RunOptions) -> Plan:
    """Plan one tenant; checks templates, shard limits and index use on the way.

    :raises TenantInvalid: the tenant isn't part of the migration, or has no rows at all.
    :raises TemplateConflict: another template of the same priority matches our names.
    """
    from airflow_provider_logmigrate.stores.search import alias, template

    migration = bench.migration
    if tenant not in migration.tenants:
        raise TenantInvalid("the migration doesn't name this tenant", where=tenant or "''")
    bench.client.info()  # a wrong engine or login shows here, before the source is counted
    periods = options.periods(migration)
    plan = build_plan(
        migration=migration.name,
        tenant=tenant,
        setups=bench.setups,
        source=bench.source,
        target=bench,
        periods=periods,
        order=migration.order,
        options=options.material(),
        shards_per_index=migration.index.shards * (1 + migration.index.replicas),
    )
    warnings = list(plan.warnings)
    for setup in bench.setups:
        template.check(bench.client, setup.names.template, [setup.names.pattern], setup.body)
        units = [u for u in plan.units if u.unit.stream == setup.shape.stream.name]
        if units:
            looked = bench.source.preflight(setup.shape.stream.name)
            warning = explain_page(bench.sessions, looked, tenant, units[0].unit.period)
            warnings += [warning] if warning else []
    names = sorted({name for unit in plan.units for name in (unit.alias, unit.tenant_alias)})
    _, taken = alias.current_aliases(bench.client, names)
    if taken:
        raise IndexConflict(
            "an index already has the name of an alias that readers should use",
            where=", ".join(sorted(taken)),
        )
    warnings += _cluster_warnings(bench, new_shards=plan.shards)
    return replace(plan, warnings=tuple(warnings))


def _cluster_warnings(bench: Workbench, *, new_shards: int) -> list[str]:
    from airflow_provider_logmigrate.stores.search import status

    warnings = []
    health, room = status.health(bench.client), status.shard_room(bench.client)
    if health.status == "red":
        warnings.append("the cluster's health is red")
    if new_shards > room.free:
        warnings.append(
            f"the plan needs {new_shards} more shards, the cluster takes {room.free} more"
            f" ({room.used} of {room.limit} used): raise cluster.max_shards_per_node or add nodes"
        )
    return warnings
