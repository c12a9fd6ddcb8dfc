"""Which DAGs a configuration gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.config.entities import DagsPer
from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.naming import dag_id
from airflow_provider_logmigrate.dag_factory.follow import follow_dag, follow_dag_id
from airflow_provider_logmigrate.dag_factory.group import group_dag, group_dag_id
from airflow_provider_logmigrate.dag_factory.problems import PROBLEMS_DAG, problems_dag
from airflow_provider_logmigrate.dag_factory.purge import (
    purge_dag,
    purge_dag_id,
    restore_dag,
    restore_dag_id,
)
from airflow_provider_logmigrate.dag_factory.redrive import redrive_dag, redrive_dag_id
from airflow_provider_logmigrate.dag_factory.retention import retention_dag, retention_dag_id
from airflow_provider_logmigrate.dag_factory.sweep import may_sweep, sweep_dag, sweep_dag_id
from airflow_provider_logmigrate.dag_factory.tenant import tenant_dag

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.config.entities import Config, Migration


def build_dags(config: Config, *, only: str | None = None, limit: int = 500) -> dict[str, DAG]:
    """DAGs of all good migrations and tenants, and one that shows the configuration's problems.

    :param only: build just this DAG; what a task process needs.
    :param limit: most tenants' DAGs; see :func:`grouped`.
    :raises ConfigInvalid: more tenants than ``limit``, and ``dags: per_tenant`` forbids grouping.
    """
    in_groups = grouped(config.migrations.values(), limit=limit)
    dags: dict[str, DAG] = {}
    for migration in config.migrations.values():
        group = group_dag_id(migration.name) if migration.name in in_groups else None
        if group is None:
            for tenant in migration.tenants:
                name = dag_id(migration.name, tenant)
                if only in (None, name):
                    dags[name] = tenant_dag(migration, tenant)
        elif only in (None, group):
            dags[group] = group_dag(migration)
        for name, make in _for_all_tenants(migration, group):
            if only in (None, name):
                dags[name] = make()
    if config.problems and only in (None, PROBLEMS_DAG):
        dags[PROBLEMS_DAG] = problems_dag([str(problem) for problem in config.problems])
    return dags


def _for_all_tenants(
    migration: Migration, group: str | None
) -> Iterator[tuple[str, Callable[[], DAG]]]:
    """A migration's DAGs that aren't one tenant's, by id.

    :param group: id of the DAG of all tenants, where they have none of their own.
    """
    name = migration.name
    if may_sweep(migration):
        yield sweep_dag_id(name), lambda: sweep_dag(migration, group_dag=group)
    if migration.follow is not None:
        yield follow_dag_id(name), lambda: follow_dag(migration)
    if migration.purge is not None:
        yield purge_dag_id(name), lambda: purge_dag(migration)
        yield restore_dag_id(name), lambda: restore_dag(migration)
    yield redrive_dag_id(name), lambda: redrive_dag(migration)
    if migration.retention is not None:
        yield retention_dag_id(name), lambda: retention_dag(migration)


def grouped(migrations: Iterable[Migration], *, limit: int) -> frozenset[str]:
    """Migrations that get one DAG for all their tenants instead of one for each.

    Those that ask for it; then, while there are more tenants' DAGs than ``limit``, the migration
    with the most tenants among those that leave it open.

    :raises ConfigInvalid: what then is left are still too many.
    """
    found, open_ones, count = set(), [], 0
    for migration in migrations:
        if migration.dags is DagsPer.GROUPED:
            found.add(migration.name)
            continue
        count += len(migration.tenants)
        if migration.dags is DagsPer.AUTO:
            open_ones.append((len(migration.tenants), migration.name))
    for tenants, name in sorted(open_ones, reverse=True):
        if count <= limit:
            break
        found.add(name)
        count -= tenants
    if count > limit:
        raise ConfigInvalid(
            f"{count} tenants need as many DAGs, at most {limit} are allowed",
            where="[logmigrate] max_tenant_dags",
            next_step=(
                "leave out `dags: per_tenant`, so that a migration gets one DAG for all its"
                " tenants, or raise [logmigrate] max_tenant_dags"
            ),
        )
    return frozenset(found)


def dags_for_airflow() -> Iterator[tuple[str, DAG]]:
    """What ``dags/logmigrate.py`` puts into its module: reads the configuration once.

    A task process gets only its own DAG.

    :raises ConfigInvalid: the file as a whole can't be used; shown as an import error.
    """
    from airflow.sdk import get_parsing_context
    from airflow.sdk.configuration import conf

    from airflow_provider_logmigrate.hooks.opening import load_config

    limit = conf.getint("logmigrate", "max_tenant_dags", fallback=500)
    yield from build_dags(load_config(), only=get_parsing_context().dag_id, limit=limit).items()
