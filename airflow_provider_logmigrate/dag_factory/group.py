"""One DAG for all tenants of a migration.

``dry_run -> [approval] -> tenants [backfill -> validate -> swap -> report]``, the group mapped over
batches of tenants: one tenant each, unless there are more than 256. A tenant that fails leaves the
others alone. An approval before the swap is asked once, when all tenants are copied and proven:
``dry_run -> copies [backfill -> validate] -> approval -> tenants [swap -> report]``.

Planned in one task: a pass over each table counts all tenants, where 1,000 planning tasks would
make 1,000 passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.naming import migration_dag_id
from airflow_provider_logmigrate.dag_factory.defaults import approval_of_plan, new_dag
from airflow_provider_logmigrate.dag_factory.params import group_params

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.config.entities import Migration

ROLE = "tenants"
_LABEL = "{{ task.batch['tenants'] | map(attribute='tenant') | join(', ') | truncate(80) }}"
_PLANS = "{{ plan['tenants'] }} tenants, {{ plan['failed'] }} more without a plan"


def group_dag_id(migration: str) -> str:
    """``logmigrate_<migration>.tenants``."""
    return migration_dag_id(migration, ROLE)


def group_dag(migration: Migration) -> DAG:
    """The DAG of all tenants of a migration."""
    from airflow.sdk import task_group
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.config.entities import Approval
    from airflow_provider_logmigrate.operators.tenants_dry_run import TenantsDryRunOperator
    from airflow_provider_logmigrate.operators.tenants_report import TenantsReportOperator
    from airflow_provider_logmigrate.operators.tenants_steps import (
        GROUP,
        TenantsBackfillOperator,
        TenantsStep,
        TenantsSwapOperator,
        TenantsValidateOperator,
    )

    name = {"migration": migration.name}
    asked_last = migration.approval is Approval.BEFORE_SWAP
    copying = "copies" if asked_last else GROUP
    steps = (f"{copying}.backfill", f"{copying}.validate", f"{GROUP}.swap")
    each: dict[str, Any] = {
        **name,
        "max_active_tis_per_dagrun": migration.lanes,
        "map_index_template": _LABEL,
    }

    def copy(batch: Any) -> TenantsStep:
        pooled = {"pool": migration.pool} if migration.pool else {}
        backfill = TenantsBackfillOperator(task_id="backfill", batch=batch, **each, **pooled)
        # It ran with all its retries: the tenants that got through go on.
        validate = TenantsValidateOperator(
            task_id="validate", batch=batch, after=steps[0], trigger_rule="none_skipped", **each
        )
        backfill >> validate
        return validate

    def finish(batch: Any, *, before: TenantsStep | None) -> None:
        rule = "none_skipped" if before is not None else "all_success"
        swap = TenantsSwapOperator(
            task_id="swap", batch=batch, after=steps[1], trigger_rule=rule, **each
        )
        report = TenantsReportOperator(
            task_id="report", batch=batch, steps=steps, trigger_rule="all_done", **each
        )
        if before is not None:
            before >> swap
        swap >> report

    with new_dag(
        migration,
        group_dag_id(migration.name),
        title=f"{len(migration.tenants)} tenants",
        description=f"Moves tenants' logs to {migration.target.name}, proves and cuts over",
        doc=_doc(migration),
        schedule=migration.schedule,
    ) as dag:
        plan = TenantsDryRunOperator(task_id="dry_run", **name)
        if asked_last:

            @task_group(group_id="copies")
            def copies(batch: Any) -> None:
                copy(batch)

            @task_group(group_id=GROUP)
            def tenants(batch: Any) -> None:
                finish(batch, before=None)

            approval = approval_of_plan(
                migration,
                what="swap of its tenants",
                head=_PLANS,
                trigger_rule="all_done",  # a tenant that failed keeps no other from its swap
            )
            plan >> approval
            copies.expand(batch=plan.output) >> approval >> tenants.expand(batch=plan.output)
        else:

            @task_group(group_id=GROUP)
            def tenants(batch: Any) -> None:
                finish(batch, before=copy(batch))

            group = tenants.expand(batch=plan.output)
            if migration.approval is Approval.BEFORE_BACKFILL:
                (
                    plan
                    >> approval_of_plan(migration, what="backfill of its tenants", head=_PLANS)
                    >> group
                )
    dag.params = ParamsDict(group_params(migration))
    return dag


def _doc(migration: Migration) -> str:
    return (
        f"Migration **{migration.name}**: {migration.source.name} to {migration.target.name}, all"
        f" {len(migration.tenants)} tenants, or those that the parameter `tenants` names.\n"
    )
