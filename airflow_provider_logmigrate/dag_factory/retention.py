"""The DAG that deletes from a migration's target what is too old.

``plan -> [approval] -> cleanup``. A schedule only ever makes plans: what they name is deleted when
a person approves, or starts a run that quotes the plan's hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.naming import migration_dag_id
from airflow_provider_logmigrate.dag_factory.defaults import TAG, task_defaults

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseOperator

    from airflow_provider_logmigrate.config.entities import Migration

RETENTION_ROLE = "retention"


def retention_dag_id(migration: str) -> str:
    """``logmigrate_<migration>.retention``."""
    return migration_dag_id(migration, RETENTION_ROLE)


def retention_dag(migration: Migration) -> DAG:
    """The retention of a migration, which must have one."""
    from airflow.sdk import DAG, Param
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.operators.retention import (
        RetentionCleanupOperator,
        RetentionPlanOperator,
    )

    settings = migration.retention
    assert settings is not None  # build_dags has looked
    with DAG(
        dag_id=retention_dag_id(migration.name),
        dag_display_name=f"{migration.name}: {RETENTION_ROLE}",
        description=_DOC.partition(".")[0],
        doc_md=_DOC,
        schedule=settings.schedule,
        catchup=False,
        max_active_runs=1,
        tags=[TAG, migration.name],
        default_args=task_defaults(migration),
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
    dag.params = ParamsDict(
        {
            "plan": Param(
                None,
                type=["null", "string"],
                pattern="^[0-9a-f]{64}$",
                title="Plan",
                description_md="Hash of a retention plan that was seen before: carries out just"
                " that.",
            ),
        }
    )
    return dag


def _approval(migration: Migration) -> BaseOperator:
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    approval: BaseOperator = ApprovalOperator(
        task_id="approval",
        subject=f"{migration.name}: delete what is too old from the target?",
        body=(
            "{% set plan = ti.xcom_pull(task_ids='plan') %}"
            "Retention plan `{{ plan['plan'] }}`: {{ plan['documents'] }} documents of"
            " {{ plan['indices'] }} indices go. The log of the task `plan` lists them, and why"
            " others stay."
        ),
        response_timeout=migration.approval_timeout,
        retries=0,  # a wait that timed out ends the run instead of asking again
    )
    return approval


_DOC = """Deletes from the target what is too old.

The task `plan` says which indices and documents are due by the rules of `retention`, and why others
stay. Nothing goes before a person has approved this plan, or has started a run that quotes its
hash.
"""
