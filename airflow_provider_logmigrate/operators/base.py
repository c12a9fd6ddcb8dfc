"""What all operators of the provider share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.naming import encode_tenant
from airflow_provider_logmigrate.operators.links import REPORT_TASK, UnitReportLink, report_url
from airflow_provider_logmigrate.operators.retry import LogMigrateRetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.core.plan import Plan
    from airflow_provider_logmigrate.ledger.ledger import Ledger


class LogMigrateOperator(BaseOperator):
    """Base of the operators: a migration by name.

    :param migration: name of a migration in logmigrate.yaml.
    """

    operator_extra_links = (UnitReportLink(),)
    ui_color = "#e8f1f8"
    report_task = REPORT_TASK
    """The task that the extra link leads to."""

    def __init__(self, *, migration: str, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", LogMigrateRetryPolicy())
        super().__init__(**kwargs)
        self.migration = migration

    def load_migration(self) -> Migration:
        """The migration's configuration, read now. :raises ConfigInvalid: see there."""
        from airflow_provider_logmigrate.hooks.opening import find_migration, load_config

        return find_migration(load_config(), self.migration)

    def open_ledger(self, context: Context) -> Ledger:
        """The ledger, acting for this task."""
        from airflow_provider_logmigrate.hooks.opening import open_ledger

        return open_ledger(who=run_key(context))

    def push_link(self, context: Context) -> None:
        """Show the report link from the start; Airflow itself pushes it only at the end."""
        ti = context["ti"]
        url = report_url(ti.dag_id, ti.run_id, task=self.report_task, map_index=ti.map_index)
        ti.xcom_push(key=UnitReportLink().xcom_key, value=url)


class TenantOperator(LogMigrateOperator):
    """An operator that works for one tenant.

    :param tenant: one of the migration's tenants.
    """

    def __init__(self, *, tenant: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tenant = tenant


class StoppableOperator(LogMigrateOperator):
    """An operator that copies: SIGTERM ends it at the next checkpoint, within a second."""

    shallow_copy_attrs = ("_stop",)  # holds locks, which can't be copied

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stop = Stop()

    def on_kill(self) -> None:
        """SIGTERM: ask the copy loop to checkpoint and end. Runs beside ``execute``."""
        self._stop.set("Airflow asked the task to stop")


def run_key(context: Context, tenant: str | None = None) -> str:
    """``dag_id/run_id``: a run's key in the ledger.

    :param tenant: adds ``/tenant``, encoded: where one DAG run works for many, each has its own.
    """
    ti = context["ti"]
    key = f"{ti.dag_id}/{ti.run_id}"
    return key if tenant is None else f"{key}/{encode_tenant(tenant)}"


def lane_plan(ledger: Ledger, lane: Mapping[str, Any]) -> Plan:
    """The plan a lane belongs to, cut down to the lane's units, in their order."""
    from dataclasses import replace

    plan = ledger.plans.load(lane["plan"])
    by_key = {unit.key: unit for unit in plan.units}
    return replace(plan, units=tuple(by_key[key] for key in lane["units"]))
