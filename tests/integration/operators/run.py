"""The operators' calls of one DAG run: only Airflow's task runner is played."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import TenantInvalid
from airflow_provider_logmigrate.core.naming import dag_id

if TYPE_CHECKING:
    from tests.integration.operators.stage import Stage


class TaskStateStore(dict[str, Any]):
    """Airflow's task state of one task: JSON only, kept over retries.

    :param on_set: told about every write before it is kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_set: Callable[[str, Any], None] = lambda key, value: None

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.on_set(key, value)
        self[key] = json.loads(json.dumps(value, allow_nan=False))


class TaskInstance:
    """The part of Airflow's task instance that the operators use."""

    map_index = -1

    def __init__(self, run: Run, task_id: str) -> None:
        self.dag_id, self.run_id = run.dag_id, run.run_id
        self._run, self.task_id = run, task_id

    def xcom_push(self, key: str, value: Any) -> None:
        self._run.xcoms[self.task_id, key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str | list[str], key: str = "return_value") -> Any:
        """A list of names gives a list of all their values, those of mapped tasks one by one."""
        if isinstance(task_ids, str):
            return self._run.xcoms.get((task_ids, key))
        found = [self._run.xcoms.get((task_id, key), []) for task_id in task_ids]
        return [value for values in found for value in values]

    def get_task_states(self, *, dag_id: str, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        return {run_id: dict(self._run.states) for run_id in run_ids}


@dataclass
class Run:
    """One DAG run of one tenant; each method is one task.

    :param states: what the tasks ended with, as the report task asks for it.
    """

    stage: Stage
    tenant: str
    run_id: str
    params: Mapping[str, Any] = field(default_factory=dict)
    lanes: list[dict[str, Any]] = field(default_factory=list)
    xcoms: dict[tuple[str, str], Any] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    stores: dict[str, TaskStateStore] = field(default_factory=dict)
    copied: dict[int, Any] = field(default_factory=dict)

    @property
    def dag_id(self) -> str:
        try:
            return dag_id(self.stage.migration, self.tenant)
        except TenantInvalid:  # has no DAG; its operators refuse it all the same
            return f"logmigrate_{self.stage.migration}"

    @property
    def key(self) -> str:
        """The run's key in the ledger."""
        return f"{self.dag_id}/{self.run_id}"

    def store(self, task: str) -> TaskStateStore:
        return self.stores.setdefault(task, TaskStateStore())

    def plan(self) -> list[dict[str, Any]]:
        from airflow.sdk import DAG
        from airflow.sdk.exceptions import DownstreamTasksSkipped

        from airflow_provider_logmigrate.operators.dry_run import DryRunOperator
        from airflow_provider_logmigrate.operators.problems import ConfigurationProblemsOperator

        with DAG(self.dag_id, schedule=None):
            operator = DryRunOperator(task_id="dry_run", **self._names)
            for following in ("backfill", "report"):
                operator >> ConfigurationProblemsOperator(task_id=following, problems=[])
        try:
            self.lanes = self._run("dry_run", operator)
        except DownstreamTasksSkipped as skipped:
            if skipped.tasks != ["backfill"]:  # the report is written all the same
                raise
            self.states |= {"dry_run": "success", "backfill": "skipped"}
            self.lanes = self.xcoms["dry_run", "return_value"]
        return self.lanes

    def backfill(self, lane: int = 0, *, operator: Any = None) -> dict[str, Any]:
        operator = operator or self.backfill_operator(lane)
        done: dict[str, Any] = self._run(f"backfill {lane}", operator)
        # A mapped task's results are pulled as a list.
        self.copied[lane] = self.xcoms["backfill", "return_value"]
        self.xcoms["backfill", "return_value"] = list(self.copied.values())
        return done

    def backfill_operator(self, lane: int = 0) -> Any:
        from airflow_provider_logmigrate.operators.backfill import BackfillOperator

        return BackfillOperator(task_id="backfill", lane=self.lanes[lane], **self._names)

    def validate(self, lane: int = 0, **given: Any) -> dict[str, Any]:
        from airflow_provider_logmigrate.operators.validate import ValidateSampleOperator

        operator = ValidateSampleOperator(
            task_id="validate", lane=self.lanes[lane], **self._names, **given
        )
        proven: dict[str, Any] = self._run(f"validate {lane}", operator)
        return proven

    def reconcile(self, *, operator: Any = None, **given: Any) -> dict[str, Any]:
        operator = operator or self.reconcile_operator(**given)
        repaired: dict[str, Any] = self._run("reconcile", operator)
        return repaired

    def reconcile_operator(self, **given: Any) -> Any:
        from airflow_provider_logmigrate.operators.reconcile import ReconcileOperator

        return ReconcileOperator(task_id="reconcile", **self._names, **given)

    def swap(self) -> dict[str, Any]:
        from airflow_provider_logmigrate.operators.alias_swap import AliasSwapOperator

        swapped: dict[str, Any] = self._run(
            "swap", AliasSwapOperator(task_id="swap", **self._names)
        )
        return swapped

    def report(self) -> dict[str, Any]:
        from airflow_provider_logmigrate.operators.report import ReportOperator

        reported: dict[str, Any] = self._run(
            "report", ReportOperator(task_id="report", **self._names)
        )
        return reported

    def copy(self) -> dict[str, dict[str, Any]]:
        """Plan and backfill all lanes; what each unit needed."""
        self.plan()
        done = [self.backfill(number) for number in range(len(self.lanes))]
        return {unit: counts for lane in done for unit, counts in lane["units"].items()}

    def prove(self) -> dict[str, dict[str, Any]]:
        """Validate all lanes; each unit's verdict."""
        proven = [self.validate(number) for number in range(len(self.lanes))]
        return {unit: verdict for lane in proven for unit, verdict in lane.items()}

    def whole(self) -> dict[str, Any]:
        """Every task in order; the report."""
        self.copy()
        self.prove()
        self.swap()
        return self.report()

    @property
    def _names(self) -> dict[str, Any]:
        return {"migration": self.stage.migration, "tenant": self.tenant}

    def _run(self, task: str, operator: Any) -> Any:
        context = {
            "ti": TaskInstance(self, operator.task_id),
            "params": dict(self.params),
            "task_state_store": self.store(task),
        }
        self.states[operator.task_id] = "failed"
        returned = operator.execute(context)
        self.states[operator.task_id] = "success"
        self.xcoms[operator.task_id, "return_value"] = json.loads(json.dumps(returned))
        return returned
