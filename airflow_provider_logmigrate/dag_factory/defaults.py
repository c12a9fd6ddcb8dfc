"""What the DAGs of one migration have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from airflow_provider_logmigrate.config.entities import Migration

TAG = "logmigrate"
"""On every DAG of the provider."""


def task_defaults(migration: Migration) -> dict[str, Any]:
    """Retries: how often by configuration, whether and when by the error's type."""
    from airflow_provider_logmigrate.operators.retry import LogMigrateRetryPolicy

    return {
        "retries": migration.retries,
        "retry_delay": timedelta(seconds=30),
        "retry_policy": LogMigrateRetryPolicy(),
    }


def approval_task(migration: Migration, *, what: str, head: str, **options: Any) -> BaseOperator:
    """The task that waits for a person.

    :param what: is to be done, for the question's subject.
    :param head: beginning of the text; may hold Jinja with ``plan``.
    """
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    approval: BaseOperator = ApprovalOperator(
        task_id="approval",
        subject=f"{migration.name}: {what}?",
        body=(
            "{% set plan = ti.xcom_pull(task_ids='dry_run', key='plan') %}"
            f"{head}: {{{{ plan['units'] }}}} units, {{{{ plan['rows'] }}}} rows,"
            " {{ plan['shards'] }} shards.\n\n"
            "{% for warning in plan['warnings'] %}* {{ warning }}\n{% endfor %}"
        ),
        response_timeout=migration.approval_timeout,
        retries=0,  # a wait that timed out ends the run instead of asking again
        **options,
    )
    return approval
