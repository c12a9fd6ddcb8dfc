"""DAGs from the configuration: deterministic, and without a database while parsing."""

from __future__ import annotations

from airflow_provider_logmigrate.dag_factory.build import build_dags, dags_for_airflow
from airflow_provider_logmigrate.dag_factory.group import group_dag, group_dag_id
from airflow_provider_logmigrate.dag_factory.problems import PROBLEMS_DAG, problems_dag
from airflow_provider_logmigrate.dag_factory.tenant import tenant_dag

__all__ = [
    "PROBLEMS_DAG",
    "build_dags",
    "dags_for_airflow",
    "group_dag",
    "group_dag_id",
    "problems_dag",
    "tenant_dag",
]
