"""The DAG that deletes from a migration's target what is too old.

``plan -> [approval] -> cleanup``. A schedule only ever makes plans: what they name is deleted when
a person approves, or starts a run that quotes the plan's hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.naming import migration_dag_id
from airflow_provider_logmigrate.dag_factory.defaults import approval_task, new_dag
from airflow_provider_logmigrate.dag_factory.params import plan_param

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseOperator

    from airflow_provider_logmigrate.config.entities import Migration

RETENTION_ROLE = "retention"


def retention_dag_id(migration: str) -> str:
    """``logmigrate_<migration>.retention``."""
    return migration_dag_id(migration, RETENTION_ROLE)


def retention_dag(migration: Migration) -> DAG:
    """The retention of a migration, which must have one."""
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.operators.retention import (
        RetentionCleanupOperator,
        RetentionPlanOperator,
    )

    settings = migration.retention
    assert settings is not None  # build_dags has looked
    with new_dag(
        migration,
        retention_dag_id(migration.name),
        title=RETENTION_ROLE,
        doc=_DOC,
        schedule=settings.schedule,
    ) as dag:
        plan = RetentionPlanOperator(
            task_id="plan", migration=migration.name, approved_later=settings.approval
        )
        cleanup = RetentionCleanupOperator(
            task_id="cleanup",
            migration=migration.name,
            plan_hash="{{ ti.xcom_pull(task_ids='plan')['plan'] }}",
        )
        if settings.approval:
            plan >> _approval(migration) >> cleanup
        else:
            plan >> cleanup
    dag.params = ParamsDict({"plan": plan_param("retention plan")})
    return dag


def _approval(migration: Migration) -> BaseOperator:
    return approval_task(
        migration,
        subject="delete what is too old from the target?",
        body=(
            "{% set plan = ti.xcom_pull(task_ids='plan') %}"
            "Retention plan `{{ plan['plan'] }}`: {{ plan['documents'] }} documents of"
            " {{ plan['indices'] }} indices go. The log of the task `plan` lists them, and why"
            " others stay."
        ),
    )


_DOC = """Deletes from the target what is too old.

The task `plan` says which indices and documents are due by the rules of `retention`, and why others
stay. Nothing goes before a person has approved this plan, or has started a run that quotes its
hash.
"""
