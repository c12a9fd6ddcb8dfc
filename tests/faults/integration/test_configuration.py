"""Wrong, missing or half-wrong configuration, seen from the tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import ConfigInvalid, ConnectionInvalid
from tests.integration.operators.errors import told
from tests.integration.operators.stage import CONFIG, LEDGER, SOURCE, TARGET, Stage


def test_no_configuration_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONFIG)
    with told(ConfigInvalid, "AIRFLOW__LOGMIGRATE__CONFIG", retried=False):
        stage.run().plan()


def test_the_file_is_missing(stage: Stage) -> None:
    stage.config.unlink()
    with told(
        ConfigInvalid, str(stage.config), "create it, or point [logmigrate] config", retried=False
    ):
        stage.run().plan()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nstores: [", "logmigrate.yaml"),
        ("", "empty"),
        ("version: 2\nstores: {}\nmigrations: {}\n", "version"),
        ("version: 1\nstorse: {}\nmigrations: {}\n", "storse"),
    ],
    ids=["not-yaml", "empty", "other-version", "misspelt-key"],
)
def test_the_file_is_wrong(stage: Stage, text: str, said: str) -> None:
    stage.config.write_text(text)
    with told(ConfigInvalid, said, retried=False):
        stage.run().plan()


def test_a_wrong_migration_is_named_with_what_is_wrong(stage: Stage) -> None:
    stage.configure(lanes=0)
    with told(ConfigInvalid, "migrations.logs.lanes", retried=False):
        stage.run().plan()


def test_a_wrong_migration_leaves_the_others_alone(stage: Stage) -> None:
    stage.fill(5)
    document = json.loads(stage.config.read_text())
    document["migrations"]["other"] = document["migrations"]["logs"] | {"index_prefix": "UPPER"}
    stage.config.write_text(json.dumps(document))
    assert stage.run().whole()["outcome"] == "completed"


def test_a_migration_that_was_taken_out(stage: Stage) -> None:
    run = stage.run()
    stage.fill(5)
    run.plan()
    document = json.loads(stage.config.read_text())
    document["migrations"]["other"] = document["migrations"].pop("logs")
    stage.config.write_text(json.dumps(document))
    with told(ConfigInvalid, "migrations.logs", "no such migration", retried=False):
        run.backfill()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"streams": ["runs"]}, "unknown stream 'runs'; this migration has events"),
        ({"from": "2025-02-30"}, "'2025-02-30' isn't a day"),
        ({"to": "January"}, "'January' isn't a day"),
        ({"from": "2025-03-01", "to": "2025-02-01"}, "from 2025-03-01 is after to 2025-02-01"),
    ],
    ids=["stream", "no-such-day", "no-day", "order"],
)
def test_wrong_run_parameters(stage: Stage, params: dict[str, Any], said: str) -> None:
    with told(ConfigInvalid, said, "run parameter", retried=False):
        stage.run(**params).plan()


@pytest.mark.parametrize("conn_id", [SOURCE, TARGET, LEDGER])
def test_a_connection_is_missing(
    stage: Stage, conn_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")
    with told(ConnectionInvalid, conn_id, "airflow connections add", retried=False):
        stage.run().plan()


@pytest.mark.parametrize("conn_id", [SOURCE, TARGET, LEDGER])
def test_a_connection_of_the_wrong_type(stage: Stage, conn_id: str) -> None:
    stage.connect(conn_id, conn_type="mysql", host="127.0.0.1", login="x", schema="x")
    with told(ConnectionInvalid, conn_id, "type is mysql, wanted is", retried=False):
        stage.run().plan()


def test_a_connection_of_the_other_engine(stage: Stage) -> None:
    """The configuration says opensearch, so does the connection; the other one answers."""
    stage.configure()
    document = json.loads(stage.config.read_text())
    document["stores"]["search"]["type"] = "elasticsearch"
    stage.config.write_text(json.dumps(document))
    stage.connect(TARGET, **stage.search_fields() | {"conn_type": "elasticsearch"})
    with told(ConnectionInvalid, "opensearch", "set the connection's type", retried=False):
        stage.run().plan()


def test_tenants_of_a_file_that_is_not_there(stage: Stage, tmp_path: Path) -> None:
    stage.configure()
    document = json.loads(stage.config.read_text())
    document["migrations"]["logs"]["tenants"] = {"file": "nowhere.txt"}
    stage.config.write_text(json.dumps(document))
    with told(ConfigInvalid, "migrations.logs.tenants.file", "nowhere.txt", retried=False):
        stage.run().plan()
