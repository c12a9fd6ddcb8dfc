"""Airflow plugin: registers the operators' extra link."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_logmigrate.operators.links import UnitReportLink


class LogMigratePlugin(AirflowPlugin):
    """Registered by entry point, because Airflow doesn't load a provider's own plugin list."""

    name = "logmigrate"
    operator_extra_links = [UnitReportLink()]  # noqa: RUF012 - the base declares it so
