"""The operators' calls of one DAG run for many tenants: only Airflow's task runner is played."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.naming import encode_tenant
from tests.integration.operators.run import TaskStateStore

if TYPE_CHECKING:
    from airflow_provider_logmigrate.ledger.runs import Run
    from tests.integration.operators.stage import Stage

STEPS = ("tenants.backfill", "tenants.validate", "tenants.swap")


class MappedTaskInstance:
    """The part of Airflow's task instance that the operators use."""

    def __init__(self, run: ManyRun, task_id: str, map_index: int) -> None:
        self.dag_id, self.run_id = run.dag_id, run.run_id
        self.task_id, self.map_index = task_id, map_index
        self._run = run

    def xcom_push(self, key: str, value: Any) -> None:
        pushed = json.loads(json.dumps(value, allow_nan=False))
        self._run.xcoms[self.task_id, self.map_index, key] = pushed

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        return self._run.xcoms.get((task_ids, map_indexes, key))

    def get_task_states(
        self, *, dag_id: str, run_ids: list[str], task_ids: list[str], map_index: int
    ) -> dict[str, dict[str, str]]:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        states = self._run.states
        found = {f"{t}_{i}": s for (t, i), s in states.items() if t in task_ids and i == map_index}
        return {self.run_id: found} if found else {}


@dataclass
class ManyRun:
    """One DAG run; each method is one task, or one mapped instance of it.

    :param states: what the task instances ended with.
    """

    stage: Stage
    run_id: str
    params: Mapping[str, Any] = field(default_factory=dict)
    batches: list[dict[str, Any]] = field(default_factory=list)
    xcoms: dict[tuple[str, int, str], Any] = field(default_factory=dict)
    states: dict[tuple[str, int], str] = field(default_factory=dict)
    stores: dict[tuple[str, int], TaskStateStore] = field(default_factory=dict)

    @property
    def dag_id(self) -> str:
        return f"logmigrate_{self.stage.migration}.tenants"

    def plan(self) -> list[dict[str, Any]]:
        """Plan; a run that stops there skips everything."""
        from airflow.sdk import DAG
        from airflow.sdk.exceptions import DownstreamTasksSkipped

        from airflow_provider_logmigrate.operators.problems import ConfigurationProblemsOperator
        from airflow_provider_logmigrate.operators.tenants_dry_run import TenantsDryRunOperator

        with DAG(self.dag_id, schedule=None):
            operator = TenantsDryRunOperator(task_id="dry_run", migration=self.stage.migration)
            operator >> ConfigurationProblemsOperator(task_id="following", problems=[])
        try:
            self.batches = self._run(operator, -1)
        except DownstreamTasksSkipped as skipped:
            if skipped.tasks != ["following"]:
                raise
            self.batches = self.xcoms["dry_run", -1, "return_value"]
        return self.batches

    def step(self, task_id: str, batch: int) -> Any:
        """One mapped instance of one of the steps; its error is raised."""
        from airflow_provider_logmigrate.operators import tenants_steps as steps

        kinds = (
            steps.TenantsBackfillOperator,
            steps.TenantsValidateOperator,
            steps.TenantsSwapOperator,
        )
        at = STEPS.index(task_id)
        operator = kinds[at](
            task_id=task_id,
            migration=self.stage.migration,
            batch=self.batches[batch],
            after=STEPS[at - 1] if at else None,
        )
        return self._run(operator, batch)

    def report(self, batch: int) -> Any:
        from airflow_provider_logmigrate.operators.tenants_report import TenantsReportOperator

        operator = TenantsReportOperator(
            task_id="tenants.report",
            migration=self.stage.migration,
            batch=self.batches[batch],
            steps=STEPS,
        )
        return self._run(operator, batch)

    def whole(self) -> dict[str, str]:
        """Every task in order, past those that fail, as the trigger rules have it."""
        from airflow.sdk.exceptions import AirflowSkipException

        from airflow_provider_logmigrate.core.errors import LogMigrateError

        self.plan()
        for batch in range(len(self.batches)):
            for step in STEPS:
                try:
                    self.step(step, batch)
                except LogMigrateError:
                    continue
                except AirflowSkipException:
                    break
            try:
                self.report(batch)
            except LogMigrateError:
                continue
        return {f"{task}[{index}]": state for (task, index), state in self.states.items()}

    def recorded(self, tenant: str) -> Run:
        """What the ledger says about a tenant's run."""
        with self.stage.ledger() as ledger:
            return ledger.runs.get(f"{self.dag_id}/{self.run_id}/{encode_tenant(tenant)}")

    def _run(self, operator: Any, map_index: int) -> Any:
        from airflow.sdk.exceptions import AirflowSkipException

        at = (operator.task_id, map_index)
        ti = MappedTaskInstance(self, *at)
        context = {
            "ti": ti,
            "params": dict(self.params),
            "task_state_store": self.stores.setdefault(at, TaskStateStore()),
        }
        self.states[at] = "failed"
        for key in [key for key in self.xcoms if key[:2] == at]:
            del self.xcoms[key]  # a retry begins without its own
        try:
            returned = operator.execute(context)
        except AirflowSkipException:
            self.states[at] = "skipped"
            raise
        self.states[at] = "success"
        ti.xcom_push("return_value", returned)
        return self.xcoms[operator.task_id, map_index, "return_value"]
