"""The DAGs that delete proven rows from a migration's source, and that bring them back.

``plan -> [approval] -> purge``. Without approval a run only plans; a second one that quotes the
plan's hash carries it out. Nothing schedules them: a deletion is a person's decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.naming import migration_dag_id
from airflow_provider_logmigrate.dag_factory.defaults import TAG, task_defaults

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseOperator, Param

    from airflow_provider_logmigrate.config.entities import Migration

PURGE_ROLE, RESTORE_ROLE = "purge", "restore"
_LISTED_TENANTS = 500
"""More tenants than this aren't offered as a list."""
_TENANT = "{{ params.tenant }}"


def purge_dag_id(migration: str) -> str:
    """``logmigrate_<migration>.purge``."""
    return migration_dag_id(migration, PURGE_ROLE)


def restore_dag_id(migration: str) -> str:
    """``logmigrate_<migration>.restore``."""
    return migration_dag_id(migration, RESTORE_ROLE)


def purge_dag(migration: Migration) -> DAG:
    """The purge of one tenant of a migration."""
    from airflow.sdk import Param
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.operators.purge import PurgePlanOperator, PurgeSourceOperator

    asks = migration.purge is not None and migration.purge.approval
    names: dict[str, Any] = {"migration": migration.name, "tenant": _TENANT}
    with _dag(migration, purge_dag_id(migration.name), PURGE_ROLE, _PURGE_DOC) as dag:
        plan = PurgePlanOperator(task_id="plan", approved_later=asks, **names)
        purge = PurgeSourceOperator(
            task_id="purge",
            plan_hash="{{ ti.xcom_pull(task_ids='plan')['plan'] }}",
            **names,
        )
        if asks:
            plan >> _approval(migration) >> purge
        else:
            plan >> purge
    day: dict[str, Any] = {"type": ["null", "string"], "format": "date"}
    dag.params = ParamsDict(
        {
            "tenant": _tenant(migration),
            "before": Param(
                None,
                title="Before",
                description_md="Only periods that end by the start of this day.",
                **day,
            ),
            "plan": Param(
                None,
                type=["null", "string"],
                pattern="^[0-9a-f]{64}$",
                title="Plan",
                description_md="Hash of a purge plan that was seen before: carries out just that.",
            ),
        }
    )
    return dag


def restore_dag(migration: Migration) -> DAG:
    """The restore of purged units of one tenant."""
    from airflow.sdk import Param
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.operators.restore import RestoreOperator

    with _dag(migration, restore_dag_id(migration.name), RESTORE_ROLE, _RESTORE_DOC) as dag:
        RestoreOperator(task_id="restore", migration=migration.name, tenant=_TENANT)
    dag.params = ParamsDict(
        {
            "tenant": _tenant(migration),
            "units": Param(
                [],
                type="array",
                items={"type": "string"},
                title="Units",
                description_md="Keys of purged units; empty for all of the tenant.",
            ),
        }
    )
    return dag


def _dag(migration: Migration, dag_id: str, role: str, doc: str) -> DAG:
    from airflow.sdk import DAG

    return DAG(
        dag_id=dag_id,
        dag_display_name=f"{migration.name}: {role}",
        description=doc.partition(".")[0],
        doc_md=doc,
        schedule=None,
        catchup=False,
        max_active_runs=1,
        tags=[TAG, migration.name],
        default_args=task_defaults(migration),
    )


def _tenant(migration: Migration) -> Param:
    from airflow.sdk import Param

    listed = migration.tenants[: _LISTED_TENANTS + 1]
    choice = {"enum": list(listed)} if 0 < len(listed) <= _LISTED_TENANTS else {"minLength": 1}
    # Without a default: a run that names no tenant is refused instead of taking the first one.
    return Param(type="string", title="Tenant", description_md="Whose rows.", **choice)


def _approval(migration: Migration) -> BaseOperator:
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    approval: BaseOperator = ApprovalOperator(
        task_id="approval",
        subject=f"{migration.name}: delete proven rows of tenant {_TENANT} from the source?",
        body=(
            "{% set plan = ti.xcom_pull(task_ids='plan') %}"
            "Purge plan `{{ plan['plan'] }}`: {{ plan['units'] }} units, at most"
            " {{ plan['rows'] }} rows go, {{ plan['kept'] }} units stay. The log of the task `plan`"
            " lists them."
        ),
        response_timeout=migration.approval_timeout,
        retries=0,  # a wait that timed out ends the run instead of asking again
    )
    return approval


_PURGE_DOC = """Deletes proven rows from the source.

Give a tenant. The task `plan` says which months may leave the source, and why the others stay. Only
rows that are copied, proven, cut over, old enough and under no legal hold go, each one as the very
version that was just compared with its document. The DAG that ends in `.restore` brings them
back.
"""

_RESTORE_DOC = """Brings purged rows back from the search store.

Give a tenant, and unit keys if not all of its purged months are wanted. Rows that are there already
stay as they are.
"""
