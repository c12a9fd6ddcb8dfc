"""From an opened migration to plans, for the tasks that plan and ``airflow logmigrate plan``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import IndexConflict, TenantInvalid
from airflow_provider_logmigrate.core.layout import Layout, ShardNeeds, layout_advice
from airflow_provider_logmigrate.core.plan import Estimate
from airflow_provider_logmigrate.core.planning import build_plan
from airflow_provider_logmigrate.core.survey import Survey
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.stores.postgres.preflight import explain_page

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.plan import Plan
    from airflow_provider_logmigrate.core.unit import Period
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.operators.options import RunOptions
    from airflow_provider_logmigrate.stores.search.status import Health, ShardRoom


def make_plan(
    bench: Workbench, tenant: str, options: RunOptions, *, retired: Collection[str] = ()
) -> Plan:
    """Plan one tenant; checks templates, shard limits and index use on the way.

    :param retired: see :class:`Planner`.
    :raises TenantInvalid: the tenant isn't part of the migration, or has no rows at all.
    :raises TemplateConflict: another template of the same priority matches our names.
    """
    check_tenant(bench, tenant)
    return Planner(bench, [tenant], options, retired=retired).plan(tenant)


def check_tenant(bench: Workbench, tenant: str) -> None:
    """:raises TenantInvalid: the migration doesn't name this tenant."""
    if tenant not in bench.migration.tenants:
        raise TenantInvalid("the migration doesn't name this tenant", where=tenant or "''")


class Planner:
    """Plans tenants of one migration; what concerns them all is looked at once.

    Each stream's table is counted in one pass for all tenants, and the target's templates, health
    and room are asked for once. Reads from both sides, writes nothing.

    :param retired: keys of units that retention has deleted documents of: they are left out.
    :raises TemplateConflict: another template of the same priority matches our names.
    """

    def __init__(
        self,
        bench: Workbench,
        tenants: Sequence[str],
        options: RunOptions,
        *,
        retired: Collection[str] = (),
    ) -> None:
        from airflow_provider_logmigrate.stores.search import status, template

        self._bench, self._options, self._retired = bench, options, retired
        bench.client.info()  # a wrong engine or login shows here, before the source is counted
        self._periods = options.periods(bench.migration)
        self._surveys: dict[str, Survey] = {}
        self._notes: dict[str, list[str]] = {}
        for setup in bench.setups:
            template.check(bench.client, setup.names.template, [setup.names.pattern], setup.body)
            name = setup.shape.stream.name
            survey = bench.source.survey_all(name, tenants, self._periods)
            self._surveys[name] = survey
            notes = [survey.note, _page_note(bench, name, survey)]
            self._notes[name] = [note for note in notes if note]
        self._health: Health = status.health(bench.client)
        self._room: ShardRoom = status.shard_room(bench.client)
        self._new_shards = 0
        index = bench.migration.index
        self._shards_per_index = index.shards * (1 + index.replicas)
        self._needs = self._whole_migration()

    def survey(
        self,
        stream: str,
        tenant: str,
        periods: Sequence[Period],  # noqa: ARG002 - surveyed
    ) -> Mapping[Period, Estimate]:
        """What was found for a tenant; see :class:`~…core.planning.Surveyor`."""
        found = self._surveys[stream].of(tenant)
        if not self._retired:
            return found
        return {
            period: estimate
            for period, estimate in found.items()
            if Unit(stream, tenant, period).key not in self._retired
        }

    def has_tenant(self, stream: str, tenant: str) -> bool:
        """True if the stream has any row of the tenant, in the periods or outside."""
        return self._bench.source.has_tenant(stream, tenant)

    def plan(self, tenant: str) -> Plan:
        """One tenant's plan.

        :raises TenantInvalid: no stream has any row of it.
        :raises IndexConflict: a name that is needed belongs to something else.
        """
        from airflow_provider_logmigrate.stores.search import alias

        bench, migration = self._bench, self._bench.migration
        plan = build_plan(
            migration=migration.name,
            tenant=tenant,
            setups=bench.setups,
            source=self,
            target=bench,
            periods=self._periods,
            order=migration.order,
            options=self._options.material(),
            shards_per_index=self._shards_per_index,
        )
        names = sorted({name for unit in plan.units for name in (unit.alias, unit.tenant_alias)})
        _, taken = alias.current_aliases(bench.client, names)
        if taken:
            raise IndexConflict(
                "an index already has the name of an alias that readers should use",
                where=", ".join(sorted(taken)),
            )
        streams = dict.fromkeys(unit.unit.stream for unit in plan.units)
        notes = [note for stream in streams for note in self._notes[stream]]
        left_out = self._left_out(tenant)
        warnings = [*plan.warnings, *left_out, *notes, *self._cluster_warnings(plan.shards)]
        return replace(plan, warnings=tuple(warnings), needs=self._needs)

    def _left_out(self, tenant: str) -> list[str]:
        found = sorted(key for key in self._retired if Unit.from_key(key).tenant == tenant)
        if not found:
            return []
        shown = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
        return [f"{len(found)} units are left out, retention has deleted of them: {shown}"]

    def _whole_migration(self) -> ShardNeeds:
        """Shards for all tenants, streams and periods, however little of them a run is about."""
        migration, options = self._bench.migration, self._options
        last = migration.last or options.ripe.date()
        periods = replace(options, first=migration.first, last=last).periods(migration)
        return ShardNeeds.of(
            tenants=len(migration.tenants),
            periods=len(periods),
            streams=len(migration.streams),
            shards_per_index=self._shards_per_index,
        )

    def _cluster_warnings(self, shards: int) -> list[str]:
        # Tenants of the layout `shared` need the same new indices, not some of their own.
        shared = self._bench.migration.layout is Layout.SHARED
        before = 0 if shared else self._new_shards
        self._new_shards = max(self._new_shards, shards) if shared else before + shards
        warnings = []
        if self._health.status == "red":
            warnings.append("the cluster's health is red")
        room = self._room
        if before + shards > room.free:
            others = f" ({before} for tenants planned before)" if before else ""
            warnings.append(
                f"the plan needs {before + shards} more shards{others}, the cluster takes"
                f" {room.free} more ({room.used} of {room.limit} used): raise"
                " cluster.max_shards_per_node or add nodes"
            )
        layout = self._bench.migration.layout
        advice = layout_advice(self._needs, layout=layout, limit=room.limit)
        return [*warnings, advice] if advice else warnings


def _page_note(bench: Workbench, stream: str, survey: Survey) -> str:
    """A warning about the table if the largest unit's pages wouldn't follow an index."""
    sizes = [
        (estimate.rows, tenant, period)
        for tenant, found in survey.by_tenant.items()
        for period, estimate in found.items()
    ]
    if not sizes:
        return ""
    _, tenant, period = max(sizes)
    return explain_page(bench.sessions, bench.source.preflight(stream), tenant, period) or ""
