"""The DAG that sends dead letters of a migration again. Nothing schedules it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.naming import migration_dag_id
from airflow_provider_logmigrate.dag_factory.defaults import new_dag
from airflow_provider_logmigrate.dag_factory.params import tenant_param

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.config.entities import Migration

REDRIVE_ROLE = "redrive"

_DOC = """Sends documents again that the target has refused.

Correct the mapping of the index, a limit of it, or the rows, then give a tenant. Each row is read
anew, and each unit proven after. The tenant's DAG swaps what was withheld because of them.
"""


def redrive_dag_id(migration: str) -> str:
    """``logmigrate_<migration>.redrive``."""
    return migration_dag_id(migration, REDRIVE_ROLE)


def redrive_dag(migration: Migration) -> DAG:
    """The redrive of one tenant of a migration."""
    from airflow.sdk import Param
    from airflow.sdk.definitions.param import ParamsDict

    from airflow_provider_logmigrate.operators.redrive import RedriveOperator

    with new_dag(
        migration,
        redrive_dag_id(migration.name),
        title=REDRIVE_ROLE,
        doc=_DOC,
    ) as dag:
        RedriveOperator(task_id="redrive", migration=migration.name, tenant="{{ params.tenant }}")
    known = [*migration.aliases, *(stream.name for stream in migration.streams)]
    dag.params = ParamsDict(
        {
            "tenant": tenant_param(migration),
            "streams": Param(
                [],
                type="array",
                items={"type": "string", "enum": list(dict.fromkeys(known))},
                title="Streams",
                description_md="Names of streams; empty for all of the migration.",
            ),
            "reason": Param(
                None,
                type=["null", "string"],
                title="Reason",
                description_md="Only those whose error's name or reason has this text.",
            ),
        }
    )
    return dag
