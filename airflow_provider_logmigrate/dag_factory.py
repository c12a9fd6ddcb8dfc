"""One DAG per tenant, generated from the configuration.

``dry_run -> [approval] -> backfill (mapped over lanes) -> validate -> [approval] -> swap ->
report``. Deterministic: no clock, no randomness, no database while parsing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.naming import dag_id
from airflow_provider_logmigrate.operators.links import REPORT_TASK

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseOperator

    from airflow_provider_logmigrate.config.entities import Config, Migration

TAG = "logmigrate"


def build_dags(config: Config, *, only: str | None = None, limit: int = 500) -> dict[str, DAG]:
    """DAGs of all good migrations and tenants, plus one that shows the configuration's problems.

    :param only: build just this DAG; what a task process needs.
    :param limit: most tenant DAGs.
    :raises ConfigInvalid: more tenants than ``limit``.
    """
    wanted = [
        (migration, tenant, dag_id(migration.name, tenant))
        for migration in config.migrations.values()
        for tenant in migration.tenants
    ]
    if len(wanted) > limit:
        raise ConfigInvalid(
            f"{len(wanted)} tenants need as many DAGs, at most {limit} are allowed",
            where="[logmigrate] max_tenant_dags",
            next_step="split the configuration or raise [logmigrate] max_tenant_dags",
        )
    dags = {
        name: tenant_dag(migration, tenant)
        for migration, tenant, name in wanted
        if only is None or only == name
    }
    if config.problems and only in (None, PROBLEMS_DAG):
        dags[PROBLEMS_DAG] = problems_dag([str(problem) for problem in config.problems])
    return dags


def tenant_dag(migration: Migration, tenant: str) -> DAG:
    """The DAG of one tenant."""
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.config.entities import Approval
    from airflow_provider_logmigrate.operators.alias_swap import AliasSwapOperator
    from airflow_provider_logmigrate.operators.backfill import BackfillOperator
    from airflow_provider_logmigrate.operators.dry_run import DryRunOperator
    from airflow_provider_logmigrate.operators.report import ReportOperator
    from airflow_provider_logmigrate.operators.retry import LogMigrateRetryPolicy
    from airflow_provider_logmigrate.operators.validate import ValidateSampleOperator

    names: dict[str, Any] = {"migration": migration.name, "tenant": tenant}
    pooled: dict[str, Any] = {"pool": migration.pool} if migration.pool else {}
    with DAG(
        dag_id=dag_id(migration.name, tenant),
        dag_display_name=f"{migration.name}: {tenant}",
        description=f"Moves {tenant}'s logs to {migration.target.name}, proves and cuts over",
        doc_md=_doc(migration, tenant),
        schedule=migration.schedule,
        catchup=False,
        max_active_runs=1,
        tags=[TAG, migration.name],
        params=_params(migration),
        default_args={
            "retries": migration.retries,
            "retry_delay": timedelta(seconds=30),
            "retry_policy": LogMigrateRetryPolicy(),
        },
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
            steps.insert(1, _approval(migration, tenant, "backfill"))
        elif migration.approval is Approval.BEFORE_SWAP:
            steps.insert(3, _approval(migration, tenant, "swap"))
        for earlier, later in pairwise(steps):
            earlier >> later
    return dag


def _approval(migration: Migration, tenant: str, step: str) -> BaseOperator:
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    approval: BaseOperator = ApprovalOperator(
        task_id="approval",
        subject=f"{migration.name}: {step} of tenant {tenant}?",
        body=(
            "{% set plan = ti.xcom_pull(task_ids='dry_run', key='plan') %}"
            "Plan `{{ plan['hash'][:12] }}`: {{ plan['units'] }} units, {{ plan['rows'] }} rows,"
            " {{ plan['shards'] }} shards.\n\n"
            "{% for warning in plan['warnings'] %}* {{ warning }}\n{% endfor %}"
        ),
        response_timeout=migration.approval_timeout,
        retries=0,  # a wait that timed out ends the run instead of asking again
    )
    return approval


def _params(migration: Migration) -> Mapping[str, Any]:
    from airflow.sdk import Param

    day: dict[str, Any] = {"type": ["null", "string"], "format": "date"}
    known = [*migration.aliases, *(stream.name for stream in migration.streams)]
    return {
        "streams": Param(
            [],
            type=["array", "string"],
            title="Streams",
            description_md="Names of streams; empty for all of the migration.",
            items={"type": "string", "enum": ["all", *dict.fromkeys(known)]},
            examples=list(dict.fromkeys(known)),
        ),
        "from": Param(None, title="From", description_md="First day, included.", **day),
        "to": Param(None, title="To", description_md="Last day, included.", **day),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description_md="Stop after the plan.",
        ),
        "sample": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            maximum=1000,
            title="Sample",
            description_md="Documents per unit compared field by field.",
        ),
    }


def _doc(migration: Migration, tenant: str) -> str:
    streams = "\n".join(
        f"* `{migration.names(stream).tenant_alias(tenant)}` from `{stream.table}`"
        for stream in migration.streams
    )
    return (
        f"Migration **{migration.name}**, tenant `{tenant}`: {migration.source.name} to"
        f" {migration.target.name}.\n\nAliases for readers:\n\n{streams}\n"
    )


PROBLEMS_DAG = "logmigrate_configuration_problems"


def problems_dag(problems: list[str]) -> DAG:
    """A DAG that shows what is wrong in the configuration; its only task fails with the list."""
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.operators.problems import ConfigurationProblemsOperator

    text = "\n".join(f"* {problem}" for problem in problems)
    with DAG(
        dag_id=PROBLEMS_DAG,
        description=f"{len(problems)} entries of logmigrate.yaml are left out",
        doc_md=f"These entries of logmigrate.yaml are wrong and have no DAG:\n\n{text}\n",
        schedule=None,
        tags=[TAG, "configuration error"],
    ) as dag:
        ConfigurationProblemsOperator(task_id="show", problems=problems)
    return dag


def dags_for_airflow() -> Iterator[tuple[str, DAG]]:
    """What ``dags/logmigrate.py`` puts into its module: reads the configuration once.

    A task process gets only its own DAG.

    :raises ConfigInvalid: the file as a whole can't be used; shown as an import error.
    """
    from airflow.sdk import get_parsing_context
    from airflow.sdk.configuration import conf

    from airflow_provider_logmigrate.hooks.assembly import load_config

    limit = conf.getint("logmigrate", "max_tenant_dags", fallback=500)
    yield from build_dags(load_config(), only=get_parsing_context().dag_id, limit=limit).items()
