"""Passwords stay in the connections: nowhere in ledger, task state, XCom, logs, errors, files."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from airflow_provider_logmigrate.core.errors import LogMigrateError
from devstack.postgres import PostgresServer
from tests.integration.operators.proxy import relay
from tests.integration.operators.stage import (
    LEDGER,
    SOURCE,
    TARGET,
    Run,
    Stage,
    execute,
    postgres_fields,
)
from tests.integration.search.gateway import Gateway, running, self_signed

SOURCE_PASSWORD = "s0urce:pa/ss@w%rd'\"x"
LEDGER_PASSWORD = "l3dger:pa/ss@w%rd'\"x"
SEARCH_PASSWORD = "s3arch:pa/ss@w%rd'\"x"
WRONG_PASSWORD = "wr0ng:pa/ss@w%rd'\"x"
API_KEY = "YXBpLWlkOmFwaS1zM2NyZXQ="
LOGIN = base64.b64encode(f"migrator:{SEARCH_PASSWORD}".encode()).decode()


def spellings() -> Iterator[str]:
    """Every form in which a secret could stand somewhere."""
    for secret in (SOURCE_PASSWORD, LEDGER_PASSWORD, SEARCH_PASSWORD, WRONG_PASSWORD, API_KEY):
        yield secret
        yield quote(secret, safe="")
        yield json.dumps(secret)[1:-1]
        yield secret.split(":")[0] + ":pa"
        yield repr(secret)[1:-1]
    yield LOGIN
    yield base64.b64encode(f"migrator:{WRONG_PASSWORD}".encode()).decode()


@pytest.fixture
def logins(stage: Stage, postgres_server: PostgresServer) -> Iterator[Stage]:
    """A stage whose connections have distinctive passwords."""
    roles = {
        f"source_{stage.prefix}": (stage.source_dsn, SOURCE_PASSWORD, SOURCE),
        f"ledger_{stage.prefix}": (stage.ledger_dsn, LEDGER_PASSWORD, LEDGER),
    }
    for role, (dsn, password, conn_id) in roles.items():
        execute(dsn, f"CREATE ROLE {role} LOGIN PASSWORD %s", (password,))
        execute(
            dsn,
            f"DO $$ BEGIN EXECUTE 'GRANT ALL ON DATABASE ' || current_database() || ' TO {role}';"
            " END $$",
        )
        execute(dsn, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        stage.connect(conn_id, **postgres_fields(dsn, login=role, password=password))
    yield stage
    for role, (dsn, _, _) in roles.items():
        execute(
            dsn, f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"
        )


def shown(error: BaseException) -> str:
    """Everything of an error that can reach a log, also after it crossed a process."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        chain.append(link)
        link = link.__cause__ or link.__context__
    passed_on = pickle.loads(pickle.dumps(error))
    return (
        "".join(traceback.format_exception(error))
        + repr([*chain, *(one.args for one in chain)])
        + repr(passed_on.__dict__)
        + str(passed_on)
    )


def ledger_dump(stage: Stage) -> str:
    """All rows of all tables of the ledger, as text."""
    tables = execute(
        stage.ledger_dsn,
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    assert len(tables) >= 8
    rows = [execute(stage.ledger_dsn, f"SELECT t::text FROM {name} AS t") for (name,) in tables]
    return "\n".join(text for table in rows for (text,) in table)


def everywhere(run: Run) -> str:
    """What a run leaves behind."""
    stage = run.stage
    engine = stage.client.request("GET", f"/{stage.prefix}-*").data
    template = stage.client.request("GET", f"/_index_template/{stage.prefix}-events-template").data
    return "\n".join(
        [
            ledger_dump(stage),
            repr(run.xcoms),
            repr(run.stores),
            repr(engine),
            repr(template),
            stage.config.read_text(),
        ]
    )


def failures(run: Run, tmp_path: Path) -> dict[str, Callable[[], None]]:
    """Ways to fail in which a password is near: each sets a connection that doesn't work."""
    stage = run.stage
    source = postgres_fields(stage.source_dsn)
    ledger = postgres_fields(stage.ledger_dsn)
    search = stage.search_fields(login="migrator", password=WRONG_PASSWORD)
    wrong = {"login": "migrator", "password": WRONG_PASSWORD}

    def set_to(conn_id: str, **fields: object) -> Callable[[], None]:
        return lambda: stage.connect(conn_id, **fields)

    return {
        "source password": set_to(SOURCE, **source | wrong),
        "source port": set_to(SOURCE, **source | wrong | {"port": 1}),
        "source host": set_to(SOURCE, **source | wrong | {"host": "no-such-host.invalid"}),
        "source tls": set_to(SOURCE, **source | wrong | {"extra": {"sslmode": "require"}}),
        "source database": set_to(SOURCE, **source | {"schema": "nowhere"}),
        "ledger password": set_to(LEDGER, **ledger | wrong),
        "ledger port": set_to(LEDGER, **ledger | wrong | {"port": 1}),
        "ledger tls": set_to(LEDGER, **ledger | wrong | {"extra": {"sslmode": "require"}}),
        "engine port": set_to(TARGET, **search | {"port": 1}),
        "engine host": set_to(TARGET, **search | {"host": "no-such-host.invalid"}),
        "engine tls": set_to(TARGET, **search | {"schema": "https"}),
        "engine url": set_to(
            TARGET, **search | {"host": f"http://migrator:{quote(WRONG_PASSWORD, safe='')}@h"}
        ),
        "engine key": set_to(TARGET, **search | {"schema": "https", "extra": {"api_key": API_KEY}}),
        "engine ca": set_to(
            TARGET, **search | {"schema": "https", "extra": {"ca_certs": str(tmp_path / "no.pem")}}
        ),
    }


def test_no_password_is_ever_shown(
    logins: Stage,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = logins
    for name in ("airflow", "opensearch", "urllib3", "sqlalchemy.engine", "elastic_transport"):
        caplog.set_level(logging.DEBUG, name)
    stage.fill(200)
    texts: dict[str, str] = {}
    with running(Gateway(stage.engine.url, logins={f"Basic {LOGIN}"})) as gateway:
        right = stage.search_fields(gateway.url, login="migrator", password=SEARCH_PASSWORD)
        stage.connect(TARGET, **right)
        run = stage.run()
        assert run.whole()["outcome"] == "completed"
        texts["a good run"] = everywhere(run)
        refused = stage.run()
        stage.connect(TARGET, **right | {"password": WRONG_PASSWORD})
        with pytest.raises(LogMigrateError) as caught:
            refused.plan()
        texts["engine password"] = shown(caught.value)
    certificate, _ = self_signed(tmp_path)
    with running(Gateway(stage.engine.url), certificate) as gateway:
        stage.connect(
            TARGET, **stage.search_fields(gateway.url, login="m", password=WRONG_PASSWORD)
        )
        with pytest.raises(LogMigrateError) as caught:
            stage.run().plan()
        texts["engine certificate"] = shown(caught.value)

    good = {
        SOURCE: postgres_fields(stage.source_dsn),
        LEDGER: postgres_fields(stage.ledger_dsn),
        TARGET: stage.search_fields(),
    }
    for name, arrange in failures(run, tmp_path).items():
        for conn_id, fields in good.items():
            stage.connect(conn_id, **fields)
        failing = stage.run()
        failing.plan()
        arrange()
        with pytest.raises(LogMigrateError) as caught:
            failing.backfill()
        texts[name] = shown(caught.value) + repr(failing.xcoms) + repr(failing.stores)
        assert "\n" not in str(caught.value)
    texts["ledger after the failures"] = ledger_dump(stage)
    told = capfd.readouterr()
    texts["output"] = told.out + told.err
    texts["log"] = caplog.text
    assert "equal: 200 settled rows" in texts["output"], "the logs were captured"

    found = [(where, s) for where, text in texts.items() for s in spellings() if s in text]
    assert found == []


def test_a_dropped_connection_shows_none_either(
    logins: Stage, postgres_server: PostgresServer, short_waits: None
) -> None:
    stage = logins
    stage.fill(200)
    run = stage.run()
    run.plan()
    for conn_id, dsn in ((SOURCE, stage.source_dsn), (LEDGER, stage.ledger_dsn)):
        with relay("127.0.0.1", postgres_server.port) as proxy:
            before = postgres_fields(dsn)
            stage.connect(conn_id, **before | {"port": proxy.port})
            proxy.on_sent = lambda data, proxy=proxy: proxy.cut()  # type: ignore[misc]
            with pytest.raises(LogMigrateError) as caught:
                run.backfill()
            stage.connect(conn_id, **before)
        text = shown(caught.value)
        assert str(before["password"]) not in text
