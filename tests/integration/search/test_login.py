"""Logins, certificates and hosts, through both engines' client libraries."""

from __future__ import annotations

import base64
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import ConnectionInvalid, TargetUnavailable
from airflow_provider_logmigrate.stores.search.client import (
    Endpoint,
    Engine,
    SearchClient,
    connect,
)
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.integration.search.conftest import target_of
from tests.integration.search.gateway import Gateway, running, self_signed
from tests.unit.stores.search.building import chunk, numbered, plan

if TYPE_CHECKING:
    from devstack.engine import SearchEngine

LOGIN = "Basic " + base64.b64encode("käthe:pa:ss wörd".encode()).decode()


def client_to(server: SearchEngine, *hosts: str, **more: Any) -> SearchClient:
    return connect(Endpoint(engine=Engine(server.name), hosts=hosts, **more))


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_login_and_password(search_engine: SearchEngine) -> None:
    with running(Gateway(search_engine.url, logins={LOGIN})) as gateway:
        right = client_to(search_engine, gateway.url, username="käthe", password="pa:ss wörd")
        assert right.info().release >= (3, 0)
        wrong = client_to(search_engine, gateway.url, username="käthe", password="hunter2")
        with pytest.raises(ConnectionInvalid, match="login was refused") as caught:
            wrong.info()
        assert "missing authentication credentials" in str(caught.value)
        assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)
        with pytest.raises(ConnectionInvalid):
            client_to(search_engine, gateway.url).info()


def test_api_key(search_engine: SearchEngine) -> None:
    with running(Gateway(search_engine.url, logins={"ApiKey aWQ6a2V5"})) as gateway:
        client = client_to(search_engine, gateway.url, api_key="aWQ6a2V5", username="ignored")
        assert client.info().flavour is client.engine


def test_a_login_that_may_only_read(
    search_engine: SearchEngine, target: SearchTarget, tenant: str
) -> None:
    unit = plan(target.client.engine, tenant)
    target.prepare(unit)
    with running(Gateway(search_engine.url, readers={LOGIN})) as gateway:
        client = client_to(search_engine, gateway.url, username="käthe", password="pa:ss wörd")
        with pytest.raises(ConnectionInvalid, match="lacks a privilege"):
            target_of(client).write(unit, chunk(numbered(1)), stop=Stop())


def test_a_certificate_nobody_signed(search_engine: SearchEngine, tmp_path: Path) -> None:
    certificate, ca = self_signed(tmp_path)
    with running(Gateway(search_engine.url), certificate) as gateway:
        with pytest.raises(ConnectionInvalid, match="ca_certs") as caught:
            client_to(search_engine, gateway.url).info()
        assert "certificate isn't trusted" in str(caught.value)
        trusted = client_to(search_engine, gateway.url, ca_certs=str(ca))
        assert trusted.info().release >= (3, 0)
        trusted.close()
        wrong_name = gateway.url.replace("127.0.0.1", "localhost")
        with pytest.raises(ConnectionInvalid, match="ca_certs"):
            client_to(search_engine, wrong_name, ca_certs=str(ca)).info()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_verification_can_be_switched_off(search_engine: SearchEngine, tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path)
    with running(Gateway(search_engine.url), certificate) as gateway:
        client = client_to(search_engine, gateway.url, verify_certs=False)
        assert client.info().release >= (3, 0)
        client.close()


def test_tls_where_there_is_none(search_engine: SearchEngine) -> None:
    url = search_engine.url.replace("http://", "https://")
    with pytest.raises(ConnectionInvalid, match="doesn't speak TLS"):
        client_to(search_engine, url).info()


def test_the_wrong_connection_type(search_engine: SearchEngine) -> None:
    other = {"opensearch": "elasticsearch", "elasticsearch": "opensearch"}[search_engine.name]
    client = connect(Endpoint(engine=Engine(other), hosts=(search_engine.url,)))
    with pytest.raises(ConnectionInvalid, match=f"but {search_engine.name} "):
        client.info()


def test_nobody_listens(search_engine: SearchEngine) -> None:
    url = closed_port()
    with pytest.raises(TargetUnavailable, match="can't be reached") as caught:
        client_to(search_engine, url).info()
    assert url in str(caught.value)


def test_a_host_that_is_down_is_passed_over(search_engine: SearchEngine) -> None:
    client = client_to(search_engine, closed_port(), search_engine.url, closed_port())
    for _ in range(6):
        assert client.request("GET", "/_cluster/health").status == 200


def test_a_prefix_in_the_url(search_engine: SearchEngine) -> None:
    with running(Gateway(search_engine.url)) as gateway:
        gateway.intercept = lambda *_: (200, "application/json", b'{"not": "an engine"}')
        with pytest.raises(ConnectionInvalid, match="neither"):
            client_to(search_engine, gateway.url + "/search/").info()
        assert gateway.paths == ["/search/"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((502, "text/html", b"<html>bad gateway</html>"), "HTTP 502"),
        ((503, "text/plain", b"no upstream"), "no upstream"),
        ((429, "application/json", b'{"error":"slow down"}'), "slow down"),
        ((200, "text/html", b"<html>welcome</html>"), "isn't the engine's|doesn't account"),
        ((200, "application/json", b'{"errors":false,"items":[{"ind'), "isn't the engine's JSON"),
        ((0, "application/json", b'{"errors":false,"items":['), "broke off"),
    ],
)
def test_nonsense_before_the_engine_is_survived_and_bounded(
    search_engine: SearchEngine,
    target: SearchTarget,
    tenant: str,
    answer: tuple[int, str, bytes],
    message: str,
) -> None:
    unit = plan(target.client.engine, tenant)
    target.prepare(unit)
    with running(Gateway(search_engine.url)) as gateway:
        through = target_of(client_to(search_engine, gateway.url))
        gateway.intercept = lambda *_: answer if len(gateway.paths) < 3 else None
        result = through.write(unit, chunk(numbered(4)), stop=Stop())
        assert (result.acknowledged, result.rejected) == (4, ())
        assert "retried 2 times" in result.note
        gateway.intercept = lambda *_: answer
        with pytest.raises(TargetUnavailable, match=message):
            through.write(unit, chunk(numbered(4)), stop=Stop())
        assert len(gateway.paths) == 3 + 4
    assert target.summarise(unit).total.count == 4


def test_a_time_out_is_an_outage(search_engine: SearchEngine) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = client_to(search_engine, url, timeout_seconds=0.2)
        with pytest.raises(TargetUnavailable, match=r"(?i)timed out"):
            client.info()
        client.close()
