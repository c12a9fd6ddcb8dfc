"""A home for the Airflow whose connections the hooks read."""

from __future__ import annotations

import tests.unit.operators.airflow_home  # noqa: F401
