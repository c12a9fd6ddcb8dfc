"""A home for the Airflow whose connections the hooks read."""

from __future__ import annotations

import os
import tempfile

# Airflow makes its home when it is first imported, which test modules may do.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="logmigrate-airflow-"))
