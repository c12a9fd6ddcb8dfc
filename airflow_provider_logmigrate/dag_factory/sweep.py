"""The DAG that sweeps a migration's tables for all tenants at once.

``plan_sweep -> sweep (mapped over lanes) -> settle -> tenants (triggers their DAGs)``. Nothing else
triggers it: whether a sweep pays is seen in a tenant's plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.naming import migration_dag_id
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.dag_factory.defaults import new_dag
from airflow_provider_logmigrate.dag_factory.params import run_params

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.config.entities import Migration

ROLE = "sweep"


def sweep_dag_id(migration: str) -> str:
    """``logmigrate_<migration>.sweep``."""
    return migration_dag_id(migration, ROLE)


def may_sweep(migration: Migration) -> bool:
    """True if a stream of the migration is to be swept, or may be where no index serves it."""
    forced = migration.strategies
    if ReadStrategy.SWEEP in forced.values():
        return True
    return len(migration.tenants) > 1 and any(s.name not in forced for s in migration.streams)


def sweep_dag(migration: Migration, *, group_dag: str | None = None) -> DAG:
    """The sweep of a migration.

    :param group_dag: id of the DAG of all tenants, where they have none of their own.
    """
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.operators.sweep import (
        PLAN_TASK,
        SETTLE_TASK,
        SweepOperator,
        SweepPlanOperator,
        SweepSettleOperator,
    )
    from airflow_provider_logmigrate.operators.sweep_trigger import AfterSweepOperator

    name = {"migration": migration.name}
    pooled: dict[str, Any] = {"pool": migration.pool} if migration.pool else {}
    with new_dag(
        migration,
        sweep_dag_id(migration.name),
        title="sweep",
        description="Copies whole tables for all tenants in one pass; their DAGs prove and swap",
        doc=_doc(migration),
    ) as dag:
        plan = SweepPlanOperator(task_id=PLAN_TASK, **name)
        swept = SweepOperator.partial(
            task_id="sweep", map_index_template="{{ task.lane['lane'] }}", **name, **pooled
        ).expand(lane=plan.output)
        settle = SweepSettleOperator(
            task_id=SETTLE_TASK, trigger_rule="all_done", group_dag=group_dag, **name
        )
        tenants = AfterSweepOperator.partial(
            task_id="tenants", map_index_template="{{ task.dag_to_trigger }}", **name
        ).expand(dag_to_trigger=settle.output)
        swept >> settle >> tenants
    dag.params = ParamsDict(sweep_params(migration))
    return dag


def sweep_params(migration: Migration) -> dict[str, Any]:
    """Parameters of a sweep."""
    from airflow.sdk import Param

    chosen = ("streams", "from", "to", "dry_run")
    trigger = Param(
        default=True,
        type="boolean",
        title="Then trigger",
        description_md="Trigger the tenants' DAGs at the end, which compare, prove and swap.",
    )
    params = run_params(migration)
    return {name: params[name] for name in chosen} | {"then_trigger": trigger}


def _doc(migration: Migration) -> str:
    tables = "\n".join(f"* `{stream.table}`" for stream in migration.streams)
    return (
        f"Migration **{migration.name}**: reads whole tables in the order of their blocks and"
        f" copies the rows of all {len(migration.tenants)} tenants, for tables that no index"
        f" serves. Which of these are swept, the first task says:\n\n{tables}\n"
    )
