"""Airflow without its task runner: connections from the environment, no metadata database."""

from __future__ import annotations

import os
import tempfile

# Airflow makes its home when it is first imported, which test modules may do.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="logmigrate-airflow-"))

from tests.integration.operators.fixtures import (
    airflow_quiet,
    each_stage,
    ledger_database,
    short_waits,
    stage,
    stage_on,
)

__all__ = ["airflow_quiet", "each_stage", "ledger_database", "short_waits", "stage", "stage_on"]
