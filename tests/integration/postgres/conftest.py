"""Sample data of both schema variants, loaded once and only read by the tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.sampledata import PROFILES, Counts, DifySchema, Profile
from devstack.sampledata.load import load
from tests.integration.postgres.rig import execute

if TYPE_CHECKING:
    from devstack.postgres import PostgresServer

PROFILE = replace(PROFILES["test"], runs_per_month=20)


@dataclass(frozen=True, slots=True)
class SampleDatabase:
    """A loaded database; tests must leave it as it is."""

    dsn: str
    schema: DifySchema
    profile: Profile
    counts: Counts
    files: Path

    @property
    def tenant(self) -> str:
        return self.profile.tenant_ids[0]


def _load(server: PostgresServer, schema: DifySchema, files: Path) -> SampleDatabase:
    dsn = server.create_database(f"sample_{schema.value}")
    loaded = load(dsn, PROFILE, schema, files)
    return SampleDatabase(dsn, schema, PROFILE, loaded.counts, files)


@pytest.fixture(scope="session")
def new_dify(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SampleDatabase]:
    yield _load(postgres_server, DifySchema.NEW, tmp_path_factory.mktemp("new_files"))
    postgres_server.drop_database(f"sample_{DifySchema.NEW.value}")


@pytest.fixture(scope="session")
def old_dify(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SampleDatabase]:
    yield _load(postgres_server, DifySchema.OLD, tmp_path_factory.mktemp("old_files"))
    postgres_server.drop_database(f"sample_{DifySchema.OLD.value}")


@pytest.fixture(params=["new_dify", "old_dify"])
def dify(request: pytest.FixtureRequest) -> SampleDatabase:
    """The new variant, then the old one."""
    loaded: SampleDatabase = request.getfixturevalue(request.param)
    return loaded


@pytest.fixture(scope="session")
def shared_database(postgres_server: PostgresServer) -> Iterator[str]:
    yield postgres_server.create_database("emptied")
    postgres_server.drop_database("emptied")


@pytest.fixture
def database(shared_database: str) -> str:
    """An empty database: one for all tests, emptied before each; a new one takes far longer."""
    left = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'"
    execute(
        shared_database,
        *(f'DROP SCHEMA "{name}" CASCADE' for (name,) in execute(shared_database, left)),
        "CREATE SCHEMA public",
        "GRANT USAGE ON SCHEMA public TO PUBLIC",
        "GRANT CONNECT ON DATABASE emptied TO PUBLIC",
        "ALTER DATABASE emptied RESET ALL",
    )
    return shared_database
