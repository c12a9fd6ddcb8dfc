"""Sweeps without Airflow's task runner, on a stage whose table no index serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from airflow_provider_logmigrate.dag_factory.sweep import sweep_dag_id
from airflow_provider_logmigrate.hooks.assembly import Workbench, workbench
from airflow_provider_logmigrate.hooks.opening import find_migration, load_config
from airflow_provider_logmigrate.operators.options import RunOptions
from tests.integration.operators.run import Run
from tests.integration.operators.stage import Stage

TENANTS = ("acme", "a'b*", "sweep", "100%b")
"""Names that mean something to SQL, index patterns, DAG ids and templates of bytes."""


@contextmanager
def opened(stage: Stage) -> Iterator[Workbench]:
    """The stage's migration with everything open."""
    migration = find_migration(load_config(), stage.migration)
    with workbench(migration, migration.streams) as bench:
        yield bench


def options(bench: Workbench, **params: Any) -> RunOptions:
    """A run's choices as of now."""
    return RunOptions.of(bench.migration, params, now=datetime.now(timezone.utc))


def without_index(stage: Stage) -> None:
    """No usable index any more."""
    stage.execute("DROP INDEX events_by_tenant")


def held(stage: Stage, unit: str) -> dict[str, dict[str, Any]]:
    """The documents of a unit by id."""
    return stage.documents(stage.index(unit))


def source_rows(stage: Stage, tenant: str, month: str) -> Mapping[str, Any]:
    """Keys and notes of a tenant's month in the source."""
    rows = stage.execute(
        "SELECT id, note FROM events WHERE tenant = %s AND to_char(at, 'YYYY-MM') = %s",
        (tenant, month),
    )
    return dict(rows)


class SweepRun(Run):
    """One run of a migration's sweep; each method is one task."""

    @property
    def dag_id(self) -> str:
        return sweep_dag_id(self.stage.migration)

    def plan_sweep(self) -> list[dict[str, Any]]:
        from airflow_provider_logmigrate.operators.sweep import SweepPlanOperator

        operator = SweepPlanOperator(task_id="plan_sweep", migration=self.stage.migration)
        self.lanes = self._run("plan_sweep", operator)
        return self.lanes

    def sweep_operator(self, lane: int = 0) -> Any:
        from airflow_provider_logmigrate.operators.sweep import SweepOperator

        return SweepOperator(task_id="sweep", migration=self.stage.migration, lane=self.lanes[lane])

    def sweep(self, lane: int = 0, *, operator: Any = None) -> dict[str, Any]:
        swept: dict[str, Any] = self._run(f"sweep {lane}", operator or self.sweep_operator(lane))
        return swept

    def settle(self, **given: Any) -> list[str]:
        from airflow_provider_logmigrate.operators.sweep import SweepSettleOperator

        operator = SweepSettleOperator(task_id="settle", migration=self.stage.migration, **given)
        dags: list[str] = self._run("settle", operator)
        return dags

    def all(self) -> list[str]:
        """Every task in order; the DAGs to trigger."""
        self.plan_sweep()
        for lane in range(len(self.lanes)):
            self.sweep(lane)
        return self.settle()


def sweep_run(stage: Stage, name: str = "first", **params: Any) -> SweepRun:
    """A new run of the sweep."""
    return SweepRun(stage, "", name, params)
