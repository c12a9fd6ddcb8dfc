"""A home for the Airflow whose command line this extends."""

from __future__ import annotations

import tests.unit.operators.airflow_home  # noqa: F401
