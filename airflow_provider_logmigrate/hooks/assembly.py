"""A migration's source and target, put together: what operators and commands work with."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.naming import migration_dag_id
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.sweep import swept_streams
from airflow_provider_logmigrate.hooks.connections import Lookup, from_task
from airflow_provider_logmigrate.hooks.opening import open_client, open_sessions

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.core.clock import Clock, Stop
    from airflow_provider_logmigrate.core.guard import SourceGuard
    from airflow_provider_logmigrate.core.pace import Pace
    from airflow_provider_logmigrate.core.plan import Plan, UnitPlan
    from airflow_provider_logmigrate.core.planning import StreamSetup
    from airflow_provider_logmigrate.core.stream import Stream
    from airflow_provider_logmigrate.stores.postgres.preflight import Preflight
    from airflow_provider_logmigrate.stores.postgres.session import Sessions
    from airflow_provider_logmigrate.stores.postgres.source import PostgresSource
    from airflow_provider_logmigrate.stores.search.client import SearchClient
    from airflow_provider_logmigrate.stores.search.target import SearchTarget


@dataclass(frozen=True, slots=True)
class Workbench:
    """A migration's opened parts.

    :param setups: the streams this source really has.
    """

    migration: Migration
    setups: tuple[StreamSetup, ...]
    sessions: Sessions
    source: PostgresSource
    client: SearchClient
    target: SearchTarget

    def setup(self, stream: str) -> StreamSetup:
        """One stream's setup. :raises PlanUnusable: the source doesn't have it."""
        for setup in self.setups:
            if setup.shape.stream.name == stream:
                return setup
        raise PlanUnusable("the source has no such stream (any more)", where=stream)

    def pace(self, *, clock: Clock) -> Pace:
        """The brakes of one copying task: limits, the target's pressure, the source's health."""
        from airflow_provider_logmigrate.core.pace import Pace

        return Pace(
            limits=self.migration.limits.copy, clock=clock, guard=self.source_guard(clock=clock)
        )

    def source_guard(self, *, clock: Clock) -> SourceGuard | None:
        """What spares the source, as the migration wants it."""
        from airflow_provider_logmigrate.core.guard import SourceGuard
        from airflow_provider_logmigrate.stores.postgres.protection import SourceProbe

        protection = self.migration.protect
        if protection is None:
            return None
        probe = SourceProbe(
            self.sessions,
            tables=[setup.shape.stream.table for setup in self.setups],
            thresholds=protection.thresholds,
            rng=random.Random(),  # noqa: S311 - which block is looked at
        )
        return SourceGuard(probe, protection, clock=clock)

    def put_templates(self) -> None:
        """Create or update the index template of every stream. Idempotent.

        :raises TemplateConflict: another template of the same priority matches our names.
        """
        from airflow_provider_logmigrate.stores.search import template

        for setup in self.setups:
            template.put(self.client, setup.names.template, [setup.names.pattern], setup.body)

    def versions(self, owners: Mapping[str, str]) -> Mapping[str, Mapping[int, str]]:
        """Existing versions of indices: name without version -> number -> definition.

        :param owners: name without version -> whose such an index must be.
        :raises IndexConflict: an index of such a name belongs to something else.
        """
        from airflow_provider_logmigrate.stores.search import existing

        found = existing.versions(self.client, owners)
        for name, versions in found.items():
            for version in versions:
                existing.check_owner(
                    version.index,
                    says=version.owner,
                    made_by=version.migration,
                    owner=owners[name],
                    migration=self.migration.name,
                    where=self.client.where,
                )
        return {
            name: {version.number: version.definition or "" for version in versions}
            for name, versions in found.items()
        }

    def index_exists(self, plan: UnitPlan) -> bool:
        """True if the unit's index is there.

        A shared one may have been deleted and made anew by another tenant's task: it has to hold
        something of the unit's tenant, too.
        """
        from airflow_provider_logmigrate.stores.search import index

        if index.read(self.client, plan.index) is None:
            return False
        return plan.share is None or self.target.holds_any(plan)

    def still_valid(self, plan: Plan) -> None:
        """:raises PlanUnusable: a stream's definition changed since the plan was made."""
        for unit in plan.units:
            if self.setup(unit.unit.stream).definition != unit.definition:
                raise PlanUnusable(
                    "columns, mapping or configuration changed since the plan was made",
                    where=unit.key,
                )


def _sweep_hint(migration: Migration, looked: Preflight) -> str:
    """What several tenants of a table without a usable index should know."""
    stream = looked.shape.stream.name
    found = swept_streams(
        {stream: looked.strategy}, migration.strategies, tenants=len(migration.tenants)
    )
    if not found or looked.strategy is ReadStrategy.SWEEP:
        return ""
    dag = migration_dag_id(migration.name, "sweep")
    return f"; the DAG {dag} reads it once for all {len(migration.tenants)} tenants"


@contextmanager
def workbench(
    migration: Migration,
    streams: Sequence[Stream],
    *,
    lookup: Lookup = from_task,
    stop: Stop | None = None,
) -> Iterator[Workbench]:
    """Open source and target of a migration, look at the source, close both at the end.

    :param stop: ends waits between retries.

    :raises SourceUnsuitable: a stream's table, column or privilege is missing.
    :raises ConnectionInvalid: a connection is wrong.
    """
    # Connections are kept from unit to unit; two, since a proof may read two parts at once.
    with closing(open_sessions(migration, lookup, keep=2)) as sessions:
        found = _look(migration, streams, sessions)
        with closing(open_client(migration, lookup, stop=stop)) as client:
            yield _put_together(migration, found, sessions, client)


def _look(
    migration: Migration, streams: Sequence[Stream], sessions: Sessions
) -> dict[str, Preflight]:
    """What the source has of the streams; one it doesn't have, and needn't, is left out."""
    from airflow_provider_logmigrate.core.layout import Layout, check_shareable
    from airflow_provider_logmigrate.stores.postgres.preflight import preflight

    found = {}
    for stream in streams:
        looked = preflight(sessions, stream, forced=migration.strategies.get(stream.name))
        if looked is not None:
            if migration.layout is Layout.SHARED:
                check_shareable(looked.shape, unique_key=stream.key in looked.facts.unique)
            found[stream.name] = looked
    return found


def _put_together(
    migration: Migration,
    found: Mapping[str, Preflight],
    sessions: Sessions,
    client: SearchClient,
) -> Workbench:
    from airflow_provider_logmigrate.core.planning import StreamSetup
    from airflow_provider_logmigrate.hooks.content import ObjectStorageContent
    from airflow_provider_logmigrate.stores.postgres.source import PostgresSource
    from airflow_provider_logmigrate.stores.search.mapping import IndexOptions, index_body
    from airflow_provider_logmigrate.stores.search.target import SearchTarget

    index = migration.index
    options = IndexOptions(
        shards=index.shards,
        replicas=index.replicas,
        refresh_interval=index.refresh_interval,
        total_fields=index.total_fields,
        codec=index.codec,
        text=index.text,
    )
    setups = tuple(
        StreamSetup(
            shape=looked.shape,
            names=migration.names(looked.shape.stream),
            strategy=looked.strategy,
            strategy_reason=looked.reason + _sweep_hint(migration, looked),
            body=index_body(looked.shape, options, engine=client.engine, layout=migration.layout),
            material_settings={"shards": index.shards, "codec": index.codec},
            notes=looked.notes,
            layout=migration.layout,
        )
        for looked in found.values()
    )
    offload = migration.offload
    source = PostgresSource(
        sessions,
        found,
        page_rows=migration.limits.page_rows,
        chunk_bytes=migration.limits.chunk_bytes,
        content=ObjectStorageContent(offload.url, conn_id=offload.connection) if offload else None,
        inline_limit=offload.inline_limit if offload else 0,
        counting=migration.counts,
    )
    target = SearchTarget(
        client,
        facts={"migration": migration.name},
        shapes={setup.shape.stream.name: setup.shape for setup in setups},
        rng=random.Random(),  # noqa: S311 - jitter of retry delays
    )
    return Workbench(migration, setups, sessions, source, client, target)
