"""One DAG per tenant of logmigrate.yaml. Copy this file into the DAGs folder."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_logmigrate.dag_factory import dags_for_airflow

for _dag_id, _dag in dags_for_airflow():
    if isinstance(_dag, DAG):
        globals()[_dag_id] = _dag
