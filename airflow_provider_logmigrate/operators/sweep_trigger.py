"""Triggers the DAG of a tenant when a sweep has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.operators.base import LogMigrateOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class AfterSweepOperator(LogMigrateOperator):
    """Trigger one DAG; mapped over the DAGs of a sweep's tenants.

    Does what Airflow's ``TriggerDagRunOperator`` does, whose import costs each parse of the DAG
    file two seconds. Idempotent: the run's id is made from the sweep's, so cleared or retried it
    triggers no second run.

    :param dag_to_trigger: its id. If it is paused, its run waits until it isn't.
    """

    def __init__(self, *, dag_to_trigger: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dag_to_trigger = dag_to_trigger

    def execute(self, context: Context) -> None:
        """See the class; the task runner does it when it gets this exception."""
        from airflow.sdk.exceptions import DagRunTriggerException

        raise DagRunTriggerException(
            trigger_dag_id=self.dag_to_trigger,
            dag_run_id=f"after_sweep__{context['ti'].run_id}",
            conf=None,
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=[],
            failed_states=[],
            poke_interval=60,
            deferrable=False,
        )
