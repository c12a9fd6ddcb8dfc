"""Puts configuration, connections and stores together: what operators and commands start from."""

from __future__ import annotations

import getpass
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import ConfigInvalid, IndexConflict, PlanUnusable
from airflow_provider_logmigrate.hooks.connections import (
    Lookup,
    from_task,
    ledger_url,
    postgres_endpoint,
    search_endpoint,
)

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Config, Migration
    from airflow_provider_logmigrate.core.plan import Plan, UnitPlan
    from airflow_provider_logmigrate.core.planning import StreamSetup
    from airflow_provider_logmigrate.core.stream import Stream
    from airflow_provider_logmigrate.core.unit import Unit
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.stores.postgres.session import Sessions
    from airflow_provider_logmigrate.stores.postgres.source import PostgresSource
    from airflow_provider_logmigrate.stores.search.client import SearchClient
    from airflow_provider_logmigrate.stores.search.target import SearchTarget


def config_path() -> Path:
    """``[logmigrate] config`` of Airflow's configuration. :raises ConfigInvalid: not set."""
    from airflow.sdk.configuration import conf

    value = conf.get("logmigrate", "config", fallback="")
    if not value:
        raise ConfigInvalid(
            "no configuration file is named",
            where="[logmigrate] config",
            next_step="set AIRFLOW__LOGMIGRATE__CONFIG to the path of logmigrate.yaml",
        )
    return Path(value)


def load_config() -> Config:
    """The configuration file, whole. :raises ConfigInvalid: see there."""
    from airflow_provider_logmigrate.config.loader import load

    return load(config_path())


def find_migration(config: Config, name: str) -> Migration:
    """One migration by name.

    :raises ConfigInvalid: there is none, or its entry has errors; they are in the message.
    """
    migration = config.migrations.get(name)
    if migration is None:
        entry = f"migrations.{name}"
        problems = [p for p in config.problems if p.path == entry or p.path.startswith(f"{entry}.")]
        reason = "; ".join(str(p) for p in problems) or "there is no such migration"
        raise ConfigInvalid(reason, where=f"migrations.{name}")
    return migration


def open_ledger(lookup: Lookup = from_task, *, who: str | None = None) -> Ledger:
    """The ledger behind ``[logmigrate] ledger_conn_id``; its schema is brought up to date."""
    from airflow.sdk.configuration import conf

    from airflow_provider_logmigrate.ledger.ledger import Ledger

    conn_id = conf.get("logmigrate", "ledger_conn_id", fallback="logmigrate_ledger")
    return Ledger(ledger_url(lookup(conn_id)), who=who or getpass.getuser())


def open_client(migration: Migration, lookup: Lookup = from_task) -> SearchClient:
    """Client of a migration's target."""
    from airflow_provider_logmigrate.stores.search.client import SearchClient

    store = migration.target
    return SearchClient(search_endpoint(lookup(store.connection), store.type))


def open_sessions(migration: Migration, lookup: Lookup = from_task) -> Sessions:
    """Sessions of a migration's source."""
    from airflow_provider_logmigrate.stores.postgres.session import Sessions

    endpoint = postgres_endpoint(
        lookup(migration.source.connection),
        statement_timeout=migration.limits.statement_timeout_seconds,
    )
    return Sessions(endpoint)


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

    def put_templates(self) -> None:
        """Create or update the index template of every stream. Idempotent.

        :raises TemplateConflict: another template of the same priority matches our names.
        """
        from airflow_provider_logmigrate.stores.search import template

        for setup in self.setups:
            template.put(self.client, setup.names.template, [setup.names.pattern], setup.body)

    def versions(self, unit: Unit, alias: str) -> Mapping[int, str]:
        """Existing versions of a unit's index: number -> definition.

        :raises IndexConflict: an index of such a name belongs to something else.
        """
        from airflow_provider_logmigrate.stores.search import index

        found = index.versions(self.client, alias)
        for version in found:
            if version.unit != unit.key:
                raise IndexConflict(
                    f"the index exists and isn't this unit's (it says: {version.unit})",
                    where=version.index,
                )
        return {version.number: version.definition or "" for version in found}

    def index_exists(self, plan: UnitPlan) -> bool:
        """True if the unit's index is there."""
        from airflow_provider_logmigrate.stores.search import index

        return index.read(self.client, plan.index) is not None

    def still_valid(self, plan: Plan) -> None:
        """:raises PlanUnusable: a stream's definition changed since the plan was made."""
        for unit in plan.units:
            if self.setup(unit.unit.stream).definition != unit.definition:
                raise PlanUnusable(
                    "columns, mapping or configuration changed since the plan was made",
                    where=unit.key,
                )


@contextmanager
def workbench(
    migration: Migration, streams: Sequence[Stream], *, lookup: Lookup = from_task
) -> Iterator[Workbench]:
    """Open source and target of a migration, look at the source, close both at the end.

    :raises SourceUnsuitable: a stream's table, column or privilege is missing.
    :raises ConnectionInvalid: a connection is wrong.
    """
    from airflow_provider_logmigrate.core.planning import StreamSetup
    from airflow_provider_logmigrate.hooks.content import ObjectStorageContent
    from airflow_provider_logmigrate.stores.postgres.preflight import preflight
    from airflow_provider_logmigrate.stores.postgres.source import PostgresSource
    from airflow_provider_logmigrate.stores.search.mapping import IndexOptions, index_body
    from airflow_provider_logmigrate.stores.search.target import SearchTarget

    sessions = open_sessions(migration, lookup)
    found = {}
    for stream in streams:
        looked = preflight(sessions, stream, forced=migration.strategies.get(stream.name))
        if looked is not None:
            found[stream.name] = looked
    index = migration.index
    options = IndexOptions(
        shards=index.shards,
        replicas=index.replicas,
        refresh_interval=index.refresh_interval,
        total_fields=index.total_fields,
        codec=index.codec,
    )
    client = open_client(migration, lookup)
    setups = tuple(
        StreamSetup(
            shape=looked.shape,
            names=migration.names(looked.shape.stream),
            strategy=looked.strategy,
            strategy_reason=looked.reason,
            body=index_body(looked.shape, options, engine=client.engine),
            material_settings={"shards": index.shards, "codec": index.codec},
            notes=looked.notes,
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
    )
    target = SearchTarget(
        client,
        facts={"migration": migration.name},
        shapes={setup.shape.stream.name: setup.shape for setup in setups},
        rng=random.Random(),  # noqa: S311 - jitter of retry delays
    )
    try:
        yield Workbench(migration, setups, sessions, source, client, target)
    finally:
        client.close()
