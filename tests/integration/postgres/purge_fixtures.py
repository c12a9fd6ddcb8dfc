"""A ledger for the tests of a purge: one database, emptied before each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_provider_logmigrate.ledger.schema import upgrade
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
    execute(ledger_dsn, "DROP SCHEMA IF EXISTS logmigrate CASCADE")
    upgrade._current.clear()  # it was there a moment ago
    return ledger_dsn
