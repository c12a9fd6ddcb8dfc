"""Clients of both real engines; every test gets a tenant, and so indices, of its own."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.stores.search.client import (
    Endpoint,
    Engine,
    SearchClient,
    connect,
)
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.unit.stores.search.building import NAMES, shape

if TYPE_CHECKING:
    from devstack.engine import SearchEngine

SMALL = {
    "thread_pool.write.size": 1,
    "thread_pool.write.queue_size": 1,
    "http.max_content_length": "1mb",
}
"""Settings under which an engine is soon overloaded."""


def client_of(server: SearchEngine) -> SearchClient:
    return connect(Endpoint(engine=Engine(server.name), hosts=(server.url,)))


def target_of(
    client: SearchClient, backoff: Backoff | None = None, *, migration: str = "test"
) -> SearchTarget:
    return SearchTarget(
        client,
        shapes={"runs": shape()},
        rng=random.Random(5),
        backoff=backoff or Backoff(attempts=3, first=0.05, cap=0.2),
        facts={"migration": migration, "plan_hash": "abc"},
    )


def remove(client: SearchClient, tenant: str) -> None:
    """Delete the tenant's indices by their concrete names."""
    prefix = NAMES.tenant_alias(tenant)
    for name in client.request("GET", "/_all/_settings").data:
        if name.startswith(prefix):
            client.request("DELETE", f"/{name}")


@pytest.fixture
def tenant() -> str:
    return f"t{secrets.token_hex(5)}"


@pytest.fixture
def client(search_engine: SearchEngine, tenant: str) -> Iterator[SearchClient]:
    client = client_of(search_engine)
    yield client
    remove(client, tenant)
    client.close()


@pytest.fixture
def target(client: SearchClient) -> SearchTarget:
    return target_of(client)


@pytest.fixture(scope="module", params=["opensearch", "elasticsearch"])
def small_engine(request: pytest.FixtureRequest, server_root: Path) -> Iterator[SearchEngine]:
    """An engine of this module alone that is overloaded by little, and may be killed."""
    from devstack.elasticsearch import ElasticsearchServer
    from devstack.opensearch import OpenSearchServer

    kind = OpenSearchServer if request.param == "opensearch" else ElasticsearchServer
    with kind(server_root / f"small-{request.param}", settings=SMALL) as server:
        yield server
