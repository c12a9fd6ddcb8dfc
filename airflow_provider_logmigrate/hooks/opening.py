"""Opens what Airflow's settings and connections name: configuration, ledger, source, target."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.hooks.connections import (
    Lookup,
    from_task,
    ledger_url,
    postgres_endpoint,
    search_endpoint,
)

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Config, Migration
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.stores.postgres.session import Sessions
    from airflow_provider_logmigrate.stores.search.client import SearchClient


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


def open_client(
    migration: Migration, lookup: Lookup = from_task, *, stop: Stop | None = None
) -> SearchClient:
    """Client of a migration's target.

    :param stop: ends its waits between retries.
    """
    from airflow_provider_logmigrate.stores.search.client import SearchClient

    store = migration.target
    return SearchClient(search_endpoint(lookup(store.connection), store.type), stop=stop)


def open_sessions(migration: Migration, lookup: Lookup = from_task, *, keep: int = 0) -> Sessions:
    """Sessions of a migration's source.

    :param keep: see :class:`~airflow_provider_logmigrate.stores.postgres.session.Sessions`.
    """
    from airflow_provider_logmigrate.stores.postgres.session import Sessions

    endpoint = postgres_endpoint(
        lookup(migration.source.connection),
        statement_timeout=migration.limits.statement_timeout_seconds,
    )
    return Sessions(endpoint, keep=keep)
