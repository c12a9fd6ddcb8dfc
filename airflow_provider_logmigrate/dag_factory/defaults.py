"""What the DAGs of one migration have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseOperator

    from airflow_provider_logmigrate.config.entities import Migration

TAG = "logmigrate"
"""On every DAG of the provider."""


def new_dag(
    migration: Migration,
    dag_id: str,
    *,
    title: str,
    doc: str,
    description: str = "",
    schedule: str | None = None,
) -> DAG:
    """A DAG of the migration, without tasks: one run at a time, none for days gone by.

    :param title: what its name in the UI ends with.
    :param description: by default the first sentence of ``doc``.
    """
    from airflow.sdk import DAG

    return DAG(
        dag_id=dag_id,
        dag_display_name=f"{migration.name}: {title}",
        description=description or doc.partition(".")[0],
        doc_md=doc,
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        tags=[TAG, migration.name],
        default_args=task_defaults(migration),
    )


def task_defaults(migration: Migration) -> dict[str, Any]:
    """Retries: how often by configuration, whether and when by the error's type."""
    from airflow_provider_logmigrate.operators.retry import LogMigrateRetryPolicy

    return {
        "retries": migration.retries,
        "retry_delay": timedelta(seconds=30),
        "retry_policy": LogMigrateRetryPolicy(),
    }


def approval_of_plan(migration: Migration, *, what: str, head: str, **options: Any) -> BaseOperator:
    """The task that waits for a person who has seen the plan of a copy.

    :param what: is to be done, for the question's subject.
    :param head: beginning of the text; may hold Jinja with ``plan``.
    """
    return approval_task(
        migration,
        subject=f"{what}?",
        body=(
            "{% set plan = ti.xcom_pull(task_ids='dry_run', key='plan') %}"
            f"{head}: {{{{ plan['units'] }}}} units, {{{{ plan['rows'] }}}} rows,"
            " {{ plan['shards'] }} shards.\n\n"
            "{% for warning in plan['warnings'] %}* {{ warning }}\n{% endfor %}"
        ),
        **options,
    )


def approval_task(migration: Migration, *, subject: str, body: str, **options: Any) -> BaseOperator:
    """The task that waits for a person."""
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    approval: BaseOperator = ApprovalOperator(
        task_id="approval",
        subject=f"{migration.name}: {subject}",
        body=body,
        response_timeout=migration.approval_timeout,
        retries=0,  # a wait that timed out ends the run instead of asking again
        **options,
    )
    return approval
