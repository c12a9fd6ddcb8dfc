"""The DAG that shows wrong entries of the configuration, so that none is just missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import DAG

PROBLEMS_DAG = "logmigrate_configuration_problems"


def problems_dag(problems: list[str]) -> DAG:
    """A DAG that shows what is wrong in the configuration; its only task fails with the list."""
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.dag_factory.defaults import TAG
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
