"""The DAG that keeps live tenants' open periods in step with their source.

``dry_run -> tenants [follow -> swap -> report]``, the group mapped over as many batches of tenants
as there are lanes. Scheduled, one run at a time; a run that takes longer than its interval delays
the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.naming import migration_dag_id
from airflow_provider_logmigrate.dag_factory.defaults import new_dag
from airflow_provider_logmigrate.dag_factory.params import group_params

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.config.entities import Migration

ROLE = "follow"


def follow_dag_id(migration: str) -> str:
    """``logmigrate_<migration>.follow``."""
    return migration_dag_id(migration, ROLE)


def follow_dag(migration: Migration) -> DAG:
    """The DAG that follows a migration's tenants."""
    from airflow.sdk import task_group
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.operators.follow import (
        FOLLOW,
        FollowOperator,
        FollowPlanOperator,
        FollowSwapOperator,
    )
    from airflow_provider_logmigrate.operators.tenants_report import TenantsReportOperator
    from airflow_provider_logmigrate.operators.tenants_steps import GROUP

    name = {"migration": migration.name}
    pooled: dict[str, Any] = {"pool": migration.pool} if migration.pool else {}
    with new_dag(
        migration,
        follow_dag_id(migration.name),
        title="follow",
        description="Keeps open periods in step with the source: proves, repairs, adds new ones",
        doc=_DOC,
        schedule=migration.follow.schedule if migration.follow else None,
    ) as dag:
        plan = FollowPlanOperator(task_id="dry_run", **name)

        @task_group(group_id=GROUP)
        def tenants(batch: Any) -> None:
            follow = FollowOperator(task_id="follow", batch=batch, **name, **pooled)
            swap = FollowSwapOperator(
                task_id="swap", batch=batch, after=FOLLOW, trigger_rule="none_skipped", **name
            )
            report = TenantsReportOperator(
                task_id="report",
                batch=batch,
                steps=(FOLLOW, f"{GROUP}.swap"),
                trigger_rule="all_done",
                **name,
            )
            follow >> swap >> report

        tenants.expand(batch=plan.output)
    params = group_params(migration)
    dag.params = ParamsDict({k: v for k, v in params.items() if k not in ("from", "to")})
    return dag


_DOC = """Keeps live tenants' open periods in step with their source.

Each run proves every unit of an open period, and of those that closed a short while ago: one pass
over both sides. What is missing or differs is copied by its keys; a period that has just begun is
copied and, once proven, shown to readers.
"""
