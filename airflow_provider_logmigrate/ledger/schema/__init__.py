"""The ledger's tables and how they come to be: only ever by migrations, only ever forwards."""

from __future__ import annotations

SCHEMA = "logmigrate"
"""PostgreSQL schema that holds all of the ledger and nothing else."""

VERSION_TABLE = "schema_version"
"""Where the migrations note how far the ledger is."""

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every migration this code knows, oldest first.

Kept here so that finding a ledger current needs neither Alembic nor the migration files; a test
holds it equal to them.
"""

HEAD = REVISIONS[-1]
