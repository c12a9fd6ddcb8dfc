"""A home for the Airflow that operators import."""

from __future__ import annotations

import tests.unit.operators.airflow_home  # noqa: F401
