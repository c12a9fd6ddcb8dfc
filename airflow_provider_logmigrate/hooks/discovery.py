"""Tenants found in the source, written where the configuration looks for them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import ConfigInvalid, SourceUnsuitable
from airflow_provider_logmigrate.hooks.assembly import find_migration, open_sessions
from airflow_provider_logmigrate.hooks.connections import Lookup, from_task

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Config


def discover(
    config: Config, migration_name: str, *, lookup: Lookup = from_task
) -> tuple[list[str], Path]:
    """List the source's tenants and replace the tenants file in one step.

    Airflow's DAG processor then makes their DAGs; it never asks a database itself.

    :returns: the tenants, sorted, and the file.
    :raises ConfigInvalid: the migration doesn't use ``tenants: {discovered: …}``.
    :raises SourceUnsuitable: no stream has any tenant; the old file stays.
    """
    from airflow_provider_logmigrate.stores.postgres.tenants import list_tenants

    migration = find_migration(config, migration_name)
    if migration.discovered is None:
        raise ConfigInvalid(
            "the migration doesn't use discovered tenants",
            where=f"migrations.{migration_name}.tenants",
            next_step="set tenants: {discovered: {file: …}}",
        )
    sessions = open_sessions(migration, lookup)
    tenants = sorted(
        {tenant for stream in migration.streams for tenant in list_tenants(sessions, stream)}
    )
    if not tenants:
        raise SourceUnsuitable("no stream has any tenant", where=migration_name)
    _replace(migration.discovered, "".join(f"{tenant}\n" for tenant in tenants))
    return tenants, migration.discovered


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).chmod(0o644)
    Path(name).replace(path)
