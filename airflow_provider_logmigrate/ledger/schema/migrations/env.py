"""Alembic's entry: runs the migrations on the connection and in the transaction it is given."""

from __future__ import annotations

from alembic import context

from airflow_provider_logmigrate.ledger.schema import SCHEMA, VERSION_TABLE

# The caller's connection, because its transaction holds the lock against other first starts.
context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
)
context.run_migrations()
