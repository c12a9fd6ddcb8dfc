"""Tenants found in the source, written where the configuration looks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import ConfigInvalid, SourceUnsuitable
from airflow_provider_logmigrate.hooks.connections import Lookup, from_task
from airflow_provider_logmigrate.hooks.opening import find_migration, open_sessions

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Config


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a discovery found and wrote.

    :param tenants: those in the file, sorted.
    :param left_out: those that a line of a file can't hold.
    """

    path: Path
    tenants: tuple[str, ...]
    left_out: tuple[str, ...]


def discover(config: Config, migration_name: str, *, lookup: Lookup = from_task) -> Discovered:
    """List the source's tenants and replace the tenants file in one step.

    Airflow's DAG processor then makes their DAGs; it never asks a database itself.

    :raises ConfigInvalid: the migration doesn't use ``tenants: {discovered: …}``, or its file
        can't be written.
    :raises SourceUnsuitable: no stream has any tenant; the old file stays.
    """
    from airflow_provider_logmigrate.config.tenants import write_tenants
    from airflow_provider_logmigrate.stores.postgres.tenants import list_tenants

    migration = find_migration(config, migration_name)
    if migration.discovered is None:
        raise ConfigInvalid(
            "the migration doesn't use discovered tenants",
            where=f"migrations.{migration_name}.tenants",
            next_step="set tenants: {discovered: {file: …}}",
        )
    sessions = open_sessions(migration, lookup)
    found = {tenant for stream in migration.streams for tenant in list_tenants(sessions, stream)}
    if not found:
        raise SourceUnsuitable("no stream has any tenant", where=migration_name)
    try:
        left_out = write_tenants(migration.discovered, found)
    except OSError as error:
        raise ConfigInvalid(
            f"the file can't be written: {error.strerror}",
            where=str(migration.discovered),
            next_step="let the user that runs this write there",
        ) from error
    return Discovered(migration.discovered, tuple(sorted(found - set(left_out))), left_out)
