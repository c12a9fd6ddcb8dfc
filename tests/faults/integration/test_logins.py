"""Refused logins and certificates: a person is asked, nothing is tried again and again."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from airflow_provider_logmigrate.core.errors import ConnectionInvalid, SourceUnsuitable
from devstack.postgres import PostgresServer
from tests.integration.operators.errors import told
from tests.integration.operators.stage import LEDGER, SOURCE, TARGET, Stage, postgres_fields
from tests.integration.search.gateway import Gateway, running, self_signed

LOGIN = "Basic " + base64.b64encode(b"migrator:right").decode()


def refusals(server: PostgresServer) -> int:
    return server.process.log.read_text().count("password authentication failed")


@pytest.mark.parametrize(("conn_id", "where"), [(SOURCE, SOURCE), (LEDGER, "ledger 127.0.0.1")])
def test_a_wrong_database_password(
    stage: Stage, postgres_server: PostgresServer, conn_id: str, where: str
) -> None:
    stage.fill(5)
    dsn = stage.source_dsn if conn_id == SOURCE else stage.ledger_dsn
    stage.connect(conn_id, **postgres_fields(dsn, password="wr0ng"))
    before = refusals(postgres_server)
    with told(
        ConnectionInvalid, where, "authentication failed", "Airflow connection", retried=False
    ):
        stage.run().plan()
    assert refusals(postgres_server) - before == 1, "no account is locked by guessing on"


def test_a_wrong_engine_password(each_stage: Stage) -> None:
    stage = each_stage
    stage.fill(5)
    with running(Gateway(stage.engine.url, logins={LOGIN})) as gateway:
        stage.connect(
            TARGET, **stage.search_fields(gateway.url, login="migrator", password="wr0ng")
        )
        with told(ConnectionInvalid, "login was refused", gateway.url, retried=False):
            stage.run().plan()
        assert len(gateway.paths) == 1
        stage.connect(
            TARGET, **stage.search_fields(gateway.url, login="migrator", password="right")
        )
        assert stage.run().whole()["outcome"] == "completed"


def test_a_login_that_is_taken_away_in_the_middle(stage: Stage) -> None:
    stage.fill(100)
    run = stage.run()
    with running(Gateway(stage.engine.url, logins={LOGIN})) as gateway:
        stage.connect(
            TARGET, **stage.search_fields(gateway.url, login="migrator", password="right")
        )
        run.plan()
        gateway.logins, gateway.readers = set(), {LOGIN}
        with told(ConnectionInvalid, "lacks a privilege", retried=False):
            run.backfill()
        gateway.logins, gateway.readers = {LOGIN}, set()
        assert run.backfill()["units"]["events/acme/2025-01"]["documents"] == 100


def test_a_self_signed_certificate_without_its_ca(each_stage: Stage, tmp_path: Path) -> None:
    stage = each_stage
    stage.fill(5)
    certificate, authority = self_signed(tmp_path)
    with running(Gateway(stage.engine.url), certificate) as gateway:
        stage.connect(TARGET, **stage.search_fields(gateway.url))
        with told(ConnectionInvalid, "isn't trusted", "ca_certs", gateway.url, retried=False):
            stage.run().plan()
        extra = {"ca_certs": str(tmp_path / "nowhere.pem")}
        stage.connect(TARGET, **stage.search_fields(gateway.url, extra=extra))
        with told(ConnectionInvalid, "nowhere.pem", retried=False):
            stage.run().plan()
        extra = {"ca_certs": str(authority)}
        stage.connect(TARGET, **stage.search_fields(gateway.url, extra=extra))
        assert stage.run().whole()["outcome"] == "completed"


@pytest.mark.parametrize(("conn_id", "where"), [(SOURCE, SOURCE), (LEDGER, "ledger")])
@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_a_database_that_does_not_speak_the_tls_asked_for(
    stage: Stage, conn_id: str, where: str, mode: str
) -> None:
    dsn = stage.source_dsn if conn_id == SOURCE else stage.ledger_dsn
    stage.connect(conn_id, **postgres_fields(dsn, extra={"sslmode": mode}))
    with told(ConnectionInvalid, where, retried=False):
        stage.run().plan()


def test_a_source_login_without_privileges(stage: Stage) -> None:
    stage.fill(5)
    name = f"reader_{stage.prefix}"
    stage.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pw'")
    try:
        stage.connect(SOURCE, **postgres_fields(stage.source_dsn, login=name, password="pw"))
        with told(SourceUnsuitable, "events", "GRANT SELECT", retried=False):
            stage.run().plan()
        stage.execute(f"GRANT SELECT ON events TO {name}")
        assert stage.run().whole()["outcome"] == "completed", "reading is all it takes"
    finally:
        stage.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_table_that_is_not_there(stage: Stage) -> None:
    stage.execute("ALTER TABLE events RENAME TO elsewhere")
    with told(SourceUnsuitable, "there is no table events", retried=False):
        stage.run().plan()
