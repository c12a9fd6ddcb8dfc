"""A DAG of your own, made of the provider's operators.

It follows one stream of one tenant every week, compares more documents field by field than the
configuration asks for, and ends with a task of its own that uses the report. The migration, its
connections and its range are those of logmigrate.yaml; here stands only what is different.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, task

from airflow_provider_logmigrate.operators.alias_swap import AliasSwapOperator
from airflow_provider_logmigrate.operators.backfill import BackfillOperator
from airflow_provider_logmigrate.operators.dry_run import DryRunOperator
from airflow_provider_logmigrate.operators.report import ReportOperator
from airflow_provider_logmigrate.operators.retry import LogMigrateRetryPolicy
from airflow_provider_logmigrate.operators.validate import ValidateSampleOperator

MIGRATION = "dify_logs"
TENANT = "3f2b8c1e-5d0a-4c8e-9a51-0f6f7d9f0c11"

with DAG(
    dag_id="weekly_workflow_runs",
    description="Brings one tenant's workflow runs up to date every Sunday",
    schedule="0 3 * * 0",
    start_date=datetime(2025, 2, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 5,
        "retry_delay": timedelta(seconds=30),
        "retry_policy": LogMigrateRetryPolicy(),
    },
) as dag:
    # The ids "dry_run", "backfill", "swap" and "report" are those that the report looks for.
    dry_run = DryRunOperator(
        task_id="dry_run",
        migration=MIGRATION,
        tenant=TENANT,
        streams=["workflow_runs"],
    )
    backfill = BackfillOperator.partial(
        task_id="backfill", migration=MIGRATION, tenant=TENANT, pool="default_pool"
    ).expand(lane=dry_run.output)
    validate = ValidateSampleOperator.partial(
        task_id="validate", migration=MIGRATION, tenant=TENANT, sample=1000
    ).expand(lane=dry_run.output)
    swap = AliasSwapOperator(task_id="swap", migration=MIGRATION, tenant=TENANT)
    report = ReportOperator(
        task_id="report", migration=MIGRATION, tenant=TENANT, trigger_rule="all_done"
    )

    @task
    def tell(summary: dict) -> str:  # type: ignore[type-arg]
        """What to tell the team; not reached after a run that failed."""
        totals = summary["totals"]
        return f"{summary['outcome']}: {totals['documents']} documents of {totals['rows']} rows"

    dry_run >> backfill >> validate >> swap
    [dry_run, backfill, validate, swap] >> report
    tell(report.output)  # type: ignore[arg-type]
