"""The DAG of one tenant.

``dry_run -> [approval] -> backfill (mapped over lanes) -> validate -> [approval] -> swap ->
report``. The task ``validate`` also repairs what differs, as far as ``reconcile`` allows: a task of
its own would cost each run seconds and each of a thousand DAGs a sixth of its parsing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.naming import dag_id
from airflow_provider_logmigrate.dag_factory.defaults import approval_of_plan, new_dag
from airflow_provider_logmigrate.dag_factory.params import run_params
from airflow_provider_logmigrate.operators.links import REPORT_TASK

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.config.entities import Migration

_PLAN = "Plan `{{ plan['hash'][:12] }}`"


def tenant_dag(migration: Migration, tenant: str) -> DAG:
    """The DAG of one tenant."""
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.config.entities import Approval
    from airflow_provider_logmigrate.operators.alias_swap import AliasSwapOperator
    from airflow_provider_logmigrate.operators.backfill import BackfillOperator
    from airflow_provider_logmigrate.operators.dry_run import DryRunOperator
    from airflow_provider_logmigrate.operators.report import ReportOperator
    from airflow_provider_logmigrate.operators.validate import ValidateSampleOperator

    names: dict[str, Any] = {"migration": migration.name, "tenant": tenant}
    pooled: dict[str, Any] = {"pool": migration.pool} if migration.pool else {}
    with new_dag(
        migration,
        dag_id(migration.name, tenant),
        title=tenant,
        description=f"Moves {tenant}'s logs to {migration.target.name}, proves and cuts over",
        doc=_doc(migration, tenant),
        schedule=migration.schedule,
    ) as dag:
        plan = DryRunOperator(task_id="dry_run", **names)
        backfill = BackfillOperator.partial(
            task_id="backfill", map_index_template="{{ task.lane['lane'] }}", **names, **pooled
        ).expand(lane=plan.output)
        validate = ValidateSampleOperator.partial(
            task_id="validate", map_index_template="{{ task.lane['lane'] }}", **names
        ).expand(lane=plan.output)
        swap = AliasSwapOperator(task_id="swap", **names)
        report = ReportOperator(task_id=REPORT_TASK, trigger_rule="all_done", **names)
        steps: list[Any] = [plan, backfill, validate, swap]
        # Not the approval: refused, it would skip the report, which must say so.
        [*steps] >> report
        if migration.approval is Approval.BEFORE_BACKFILL:
            steps.insert(
                1, approval_of_plan(migration, what=f"backfill of tenant {tenant}", head=_PLAN)
            )
        elif migration.approval is Approval.BEFORE_SWAP:
            steps.insert(
                3, approval_of_plan(migration, what=f"swap of tenant {tenant}", head=_PLAN)
            )
        for earlier, later in pairwise(steps):
            earlier >> later
    # At the end: Airflow copies a DAG's parameters into each task that is made before, which made
    # serializing it 13 times as slow. A task's context has them from the DAG all the same.
    dag.params = ParamsDict(run_params(migration))
    return dag


def _doc(migration: Migration, tenant: str) -> str:
    streams = "\n".join(
        f"* `{migration.names(stream).tenant_alias(tenant)}` from `{stream.table}`"
        for stream in migration.streams
    )
    return (
        f"Migration **{migration.name}**, tenant `{tenant}`: {migration.source.name} to"
        f" {migration.target.name}.\n\nAliases for readers:\n\n{streams}\n"
    )
