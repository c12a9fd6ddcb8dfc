"""Fixtures of tests that run the operators, imported by the conftest files that want them."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_logmigrate.core.backoff import Backoff
from tests.integration.operators.stage import EVENTS, Stage, execute

if TYPE_CHECKING:
    from devstack.engine import SearchEngine
    from devstack.opensearch import OpenSearchServer
    from devstack.postgres import PostgresServer


@pytest.fixture(autouse=True)
def airflow_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Under pytest opensearch-py's tracer prints every body, as it does nowhere else."""
    caplog.set_level("WARNING", "opensearchpy.trace")


@pytest.fixture
def ledger_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty database for the ledger alone."""
    name = f"ledger_{secrets.token_hex(6)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many retries inside an attempt as ever, with a tenth of a second between them."""

    def delays(self: Backoff, rng: random.Random) -> Iterator[float]:
        return iter([0.1] * self.attempts)

    monkeypatch.setattr(Backoff, "delays", delays)


@pytest.fixture
def stage_on(
    database: str, ledger_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StageMaker]:
    """Makes the stage, for a test that has an engine of its own."""
    maker = StageMaker(database, ledger_database, tmp_path, monkeypatch)
    yield maker
    for stage in maker.made:
        stage.close()


class StageMaker:
    def __init__(
        self, source: str, ledger: str, folder: Path, environment: pytest.MonkeyPatch
    ) -> None:
        self._source, self._ledger = source, ledger
        self._folder, self._environment = folder, environment
        self.made: list[Stage] = []

    def __call__(self, engine: SearchEngine, *, events: bool = True) -> Stage:
        stage = Stage(
            engine=engine,
            source=self._source,
            ledger=self._ledger,
            folder=self._folder,
            environment=self._environment,
        )
        self.made.append(stage)
        if events:
            execute(self._source, EVENTS)
            stage.configure()
        return stage


@pytest.fixture
def stage(opensearch_server: OpenSearchServer, stage_on: StageMaker) -> Stage:
    """A stage with an empty ``events`` table, on OpenSearch."""
    return stage_on(opensearch_server)


@pytest.fixture
def each_stage(search_engine: SearchEngine, stage_on: StageMaker) -> Stage:
    """The same, on each engine in turn."""
    return stage_on(search_engine)
