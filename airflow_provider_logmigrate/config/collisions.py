"""Names that two migrations of one file would both use: told here, before anything is created."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from airflow_provider_logmigrate.config.entities import Migration
from airflow_provider_logmigrate.core.layout import Layout
from airflow_provider_logmigrate.core.naming import dag_id


@dataclass(slots=True)
class TakenNames:
    """What the migrations accepted so far occupy; the file's order decides who was first."""

    _migrations: list[Migration] = field(default_factory=list)
    _dag_ids: set[str] = field(default_factory=set)

    def add(self, migration: Migration) -> None:
        """Take the names of a migration."""
        self._migrations.append(migration)
        self._dag_ids.update(dag_id(migration.name, tenant) for tenant in migration.tenants)

    def tenants_without_dag(self, migration: Migration) -> Mapping[str, str]:
        """Tenants whose DAG id is taken, with that id.

        It takes two migrations like ``a`` and ``a_b``: ``_`` joins the parts of an id and is also
        what an encoded character starts with.
        """
        ids = {tenant: dag_id(migration.name, tenant) for tenant in migration.tenants}
        return {tenant: taken for tenant, taken in ids.items() if taken in self._dag_ids}

    def index_clash(self, migration: Migration) -> str:
        """Why the index names can't stand beside an earlier migration's; empty if they can.

        Equal names are no clash where no tenant is in both: the names go on with the tenant. Those
        of shared indices don't: two sources would write into one index.
        """
        for other in self._migrations:
            if other.target.connection != migration.target.connection:
                continue
            shared = Layout.SHARED in (migration.layout, other.layout)
            common = not set(migration.tenants).isdisjoint(other.tenants)
            for mine, theirs in _pairs(migration, other):
                equal = mine == theirs
                if (equal and (shared or common)) or (not equal and runs_into(mine, theirs)):
                    return (
                        f"index names on {migration.target.connection!r} collide: {mine}… and "
                        f"{theirs}… of the migration {other.name!r}"
                    )
        return ""


def runs_into(first: str, second: str) -> bool:
    """One beginning of index names continues the other: a tenant could bridge the difference."""
    return first.startswith(second) or second.startswith(first)


def _pairs(migration: Migration, other: Migration) -> Iterator[tuple[str, str]]:
    for mine in _beginnings(migration):
        for theirs in _beginnings(other):
            yield mine, theirs


def _beginnings(migration: Migration) -> Iterable[str]:
    return [f"{migration.index_prefix}-{stream.slug}-" for stream in migration.streams]
