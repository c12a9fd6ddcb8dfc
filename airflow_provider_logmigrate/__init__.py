"""Move per-tenant logs from PostgreSQL to a search engine, prove they arrived, switch over.

Nothing is imported here: Airflow imports this package in every one of its processes, whether or
not a migration is configured, and `tests/unit/test_import_budget.py` holds the cost of that.
"""

from __future__ import annotations

__version__ = "0.1.0"
