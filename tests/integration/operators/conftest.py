"""Airflow without its task runner: connections from the environment, no metadata database."""

from __future__ import annotations

import tests.unit.operators.airflow_home  # noqa: F401
from tests.integration.operators.fixtures import (
    airflow_quiet,
    each_stage,
    ledger_database,
    short_waits,
    stage,
    stage_on,
)

__all__ = ["airflow_quiet", "each_stage", "ledger_database", "short_waits", "stage", "stage_on"]
