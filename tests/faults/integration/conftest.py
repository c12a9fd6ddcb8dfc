"""Faults of real servers, met by the operators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import tests.unit.operators.airflow_home  # noqa: F401
from tests.integration.conftest import search_engine
from tests.integration.operators.fixtures import (
    airflow_quiet,
    each_stage,
    ledger_database,
    short_waits,
    stage,
    stage_on,
)
from tests.integration.operators.proxy import Proxy, relay
from tests.integration.operators.stage import (
    LEDGER,
    SOURCE,
    TARGET,
    Stage,
    postgres_fields,
)

if TYPE_CHECKING:
    from devstack.postgres import PostgresServer

__all__ = [
    "airflow_quiet",
    "each_stage",
    "ledger_database",
    "search_engine",
    "short_waits",
    "stage",
    "stage_on",
]


@pytest.fixture
def source_proxy(stage: Stage, postgres_server: PostgresServer) -> Iterator[Proxy]:
    """Between the operators and the source."""
    with relay("127.0.0.1", postgres_server.port) as proxy:
        stage.connect(SOURCE, **postgres_fields(stage.source_dsn, port=proxy.port))
        yield proxy


@pytest.fixture
def ledger_proxy(stage: Stage, postgres_server: PostgresServer) -> Iterator[Proxy]:
    """Between the operators and the ledger."""
    with relay("127.0.0.1", postgres_server.port) as proxy:
        stage.connect(LEDGER, **postgres_fields(stage.ledger_dsn, port=proxy.port))
        yield proxy


@pytest.fixture
def engine_proxy(stage: Stage) -> Iterator[Proxy]:
    """Between the operators and the engine."""
    address = urlsplit(stage.engine.url)
    with relay(address.hostname or "", address.port or 0) as proxy:
        stage.connect(TARGET, **stage.search_fields(f"http://127.0.0.1:{proxy.port}"))
        yield proxy
