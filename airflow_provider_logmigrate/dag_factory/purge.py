"""The DAGs that delete proven rows from a migration's source, and that bring them back.

``plan -> [approval] -> purge``. Without approval a run only plans; a second one that quotes the
plan's hash carries it out. Nothing schedules them: a deletion is a person's decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.naming import migration_dag_id
from airflow_provider_logmigrate.dag_factory.defaults import approval_task, new_dag
from airflow_provider_logmigrate.dag_factory.params import plan_param, tenant_param

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseOperator

    from airflow_provider_logmigrate.config.entities import Migration

PURGE_ROLE, RESTORE_ROLE = "purge", "restore"
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
    with new_dag(migration, purge_dag_id(migration.name), title=PURGE_ROLE, doc=_PURGE_DOC) as dag:
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
            "tenant": tenant_param(migration),
            "before": Param(
                None,
                title="Before",
                description_md="Only periods that end by the start of this day.",
                **day,
            ),
            "plan": plan_param("purge plan"),
        }
    )
    return dag


def restore_dag(migration: Migration) -> DAG:
    """The restore of purged units of one tenant."""
    from airflow.sdk import Param
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.operators.restore import RestoreOperator

    with new_dag(
        migration, restore_dag_id(migration.name), title=RESTORE_ROLE, doc=_RESTORE_DOC
    ) as dag:
        RestoreOperator(task_id="restore", migration=migration.name, tenant=_TENANT)
    dag.params = ParamsDict(
        {
            "tenant": tenant_param(migration),
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


def _approval(migration: Migration) -> BaseOperator:
    return approval_task(
        migration,
        subject=f"delete proven rows of tenant {_TENANT} from the source?",
        body=(
            "{% set plan = ti.xcom_pull(task_ids='plan') %}"
            "Purge plan `{{ plan['plan'] }}`: {{ plan['units'] }} units, at most"
            " {{ plan['rows'] }} rows go, {{ plan['kept'] }} units stay. The log of the task `plan`"
            " lists them. It counts every settled row of these units and all that hangs on it;"
            " fewer go if a row isn't equal to its document, or lies in a unit that stays: then"
            " its whole run stays, and the purge says why."
        ),
    )


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
