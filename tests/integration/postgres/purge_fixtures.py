"""A ledger for the tests of a purge: one database, emptied before each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_provider_logmigrate.ledger.schema import VERSION_TABLE
from tests.integration.postgres.rig import execute

if TYPE_CHECKING:
    from devstack.postgres import PostgresServer


@pytest.fixture(scope="session")
def ledger_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    name = f"purges_{secrets.token_hex(4)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture
def empty_ledger(ledger_dsn: str) -> str:
    """Made by the first test and emptied for the others: making one takes far longer."""
    listed = "SELECT tablename FROM pg_tables WHERE schemaname = 'logmigrate'"
    names = {name for (name,) in execute(ledger_dsn, listed)} - {VERSION_TABLE}
    if names:
        tables = ", ".join(f"logmigrate.{name}" for name in names)
        execute(ledger_dsn, f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    return ledger_dsn
