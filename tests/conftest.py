"""Real servers every kind of test can ask for; each is started once, when first asked for.

The heavy imports happen inside the fixtures: unit tests, which ask for none, stay quick.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from devstack.elasticsearch import ElasticsearchServer
    from devstack.opensearch import OpenSearchServer
    from devstack.postgres import PostgresServer

AIRFLOW = ("tests/system/", "tests/scaleout/")
"""The tests that wait for Airflow."""

SHARED_HEAP_MB = 1024
"""For an engine that holds the indices of hundreds of tests; half as much trips its breakers."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread over processes, a file's tests stay in one, and so do all of Airflow's."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return "airflow" if nodeid.startswith(AIRFLOW) else nodeid.split("::")[0]

    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Among several processes, Airflow's tests are one's first business.

    They mostly wait, and take longest: the others run beside them.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(AIRFLOW))


@pytest.fixture(scope="session")
def server_root() -> Iterator[Path]:
    """A folder of this test run for servers' files; servers left running in it are stopped."""
    from devstack.scratch import scratch_folder

    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server(server_root: Path) -> Iterator[PostgresServer]:
    """PostgreSQL 18, shared by all tests. Mostly you want ``database``."""
    from devstack.postgres import PostgresServer

    with PostgresServer(server_root / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def opensearch_server(server_root: Path) -> Iterator[OpenSearchServer]:
    """OpenSearch 3.8, shared by all tests: give your indices names of their own."""
    from devstack.opensearch import OpenSearchServer

    with OpenSearchServer(server_root / "opensearch", heap_mb=SHARED_HEAP_MB) as server:
        yield server


@pytest.fixture(scope="session")
def elasticsearch_server(server_root: Path) -> Iterator[ElasticsearchServer]:
    """Elasticsearch 9.5, shared by all tests: give your indices names of their own."""
    from devstack.elasticsearch import ElasticsearchServer

    with ElasticsearchServer(server_root / "elasticsearch", heap_mb=SHARED_HEAP_MB) as server:
        yield server


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty database of this test alone, dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)
