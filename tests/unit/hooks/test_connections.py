"""Airflow connections in all the shapes people write them -> endpoints."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_logmigrate.config.entities import StoreType
from airflow_provider_logmigrate.core.errors import ConnectionInvalid
from airflow_provider_logmigrate.hooks.connections import (
    from_task,
    ledger_url,
    postgres_endpoint,
    search_endpoint,
)
from airflow_provider_logmigrate.hooks.search import SearchHook
from airflow_provider_logmigrate.stores.search.endpoint import Endpoint


def connection(conn_type: str, extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    return Connection(
        conn_id="c", conn_type=conn_type, extra=json.dumps(extra) if extra else None, **fields
    )


def search(extra: dict[str, Any] | None = None, **fields: Any) -> Endpoint:
    return search_endpoint(connection("opensearch", extra, **fields), StoreType.OPENSEARCH)


@pytest.mark.parametrize(
    ("fields", "extra", "hosts"),
    [
        ({"host": "h", "port": 9200}, None, ("http://h:9200",)),
        ({"host": "h"}, None, ("http://h",)),
        ({"host": "h", "port": 9200, "schema": "https"}, None, ("https://h:9200",)),
        ({"host": "h", "port": 9200}, {"use_ssl": True}, ("https://h:9200",)),
        ({"host": "h", "port": 9200}, {"use_ssl": "True"}, ("https://h:9200",)),
        ({"host": "h", "port": 9200}, {"use_ssl": "false"}, ("http://h:9200",)),
        ({"host": "h", "port": 9200}, {"scheme": "https"}, ("https://h:9200",)),
        ({"host": "h", "port": 9200, "schema": "logs"}, {"use_ssl": True}, ("https://h:9200",)),
        ({"host": "https://h:9243"}, None, ("https://h:9243",)),
        ({"host": "https://h", "port": 9243}, None, ("https://h:9243",)),
        ({"host": "a, b:9201 ,,https://c", "port": 9200}, None,
         ("http://a:9200", "http://b:9201", "https://c:9200")),
        ({"host": "[::1]", "port": 9200}, None, ("http://[::1]:9200",)),
        ({"host": "[::1]:9201", "port": 9200}, None, ("http://[::1]:9201",)),
        ({"host": "https://h:9243/search", "port": 9200}, None, ("https://h:9243/search",)),
        ({"host": "https://h/search/", "port": 9200}, None, ("https://h:9200/search/",)),
        ({"host": "h/search", "port": 9200}, None, ("http://h:9200/search",)),
    ],
)  # fmt: skip
def test_hosts(fields: dict[str, Any], extra: dict[str, Any] | None, hosts: tuple[str]) -> None:
    endpoint = search(extra, **fields)
    assert endpoint.hosts == hosts
    assert endpoint.addresses(), "each is a URL that the client takes"


@pytest.mark.parametrize(
    ("value", "verified"),
    [(None, True), (True, True), ("true", True), ("", True), ("yes", True), (1, True),
     (False, False), ("false", False), ("False ", False), ("0", False), (0, False), ("off", False)],
)  # fmt: skip
def test_certificates_are_verified_unless_the_connection_says_no(
    value: Any, verified: bool
) -> None:
    extra = {} if value is None else {"verify_certs": value}
    assert search(extra, host="h").verify_certs is verified


def test_login_or_api_key() -> None:
    endpoint = search(host="h", login="u", password="p:w")
    assert (endpoint.username, endpoint.password, endpoint.api_key) == ("u", "p:w", None)
    assert endpoint.authorization() == "Basic dTpwOnc="
    endpoint = search({"api_key": "a2V5"}, host="h", login="u", password="p")
    assert (endpoint.username, endpoint.password, endpoint.api_key) == (None, None, "a2V5")
    assert endpoint.authorization() == "ApiKey a2V5"
    assert search(host="h").authorization() is None
    assert "a2V5" not in repr(endpoint)


def test_time_out_and_ca() -> None:
    endpoint = search({"timeout": "7.5", "ca_certs": "/ca.pem"}, host="h")
    assert (endpoint.timeout_seconds, endpoint.ca_certs) == (7.5, "/ca.pem")
    assert search(host="h").timeout_seconds == 30


@pytest.mark.parametrize("timeout", ["soon", "", -1, 0, "nan", []])
def test_a_time_out_that_is_none(timeout: Any) -> None:
    with pytest.raises(ConnectionInvalid, match=r"timeout.*\[c\]"):
        search({"timeout": timeout}, host="h")


@pytest.mark.parametrize("host", [None, "", " , "])
def test_no_host(host: str | None) -> None:
    with pytest.raises(ConnectionInvalid, match=r"host must be set.*\[c\]"):
        search(host=host)


def test_a_host_that_carries_a_login_is_refused_without_showing_it() -> None:
    with pytest.raises(ConnectionInvalid) as caught:
        search(host="https://user:s3cret@h:9200").addresses()
    assert "s3cret" not in str(caught.value)


def test_the_type_must_be_the_store_s() -> None:
    with pytest.raises(ConnectionInvalid, match="type is elasticsearch, wanted is opensearch"):
        search_endpoint(connection("elasticsearch", host="h"), StoreType.OPENSEARCH)
    with pytest.raises(ConnectionInvalid, match="type is empty, wanted is postgres"):
        postgres_endpoint(connection("", host="h"))


def test_an_extra_that_is_no_json_object() -> None:
    for extra in ("[1]", "{", '"text"'):
        broken = Connection(conn_id="c", conn_type="opensearch", host="h", extra=extra)
        with pytest.raises(ConnectionInvalid, match=r"extra.*JSON object.*\[c\]"):
            search_endpoint(broken, StoreType.OPENSEARCH)


def test_a_postgres_connection() -> None:
    given = connection(
        "postgres",
        {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "cursor": "dictcursor", "x": 1},
        host="db",
        login="u",
        password="p",
        schema="dify",
    )
    endpoint = postgres_endpoint(given, statement_timeout=9)
    assert (endpoint.host, endpoint.port, endpoint.user) == ("db", 5432, "u")
    assert (endpoint.dbname, endpoint.password, endpoint.label) == ("dify", "p", "c")
    assert endpoint.statement_timeout == 9
    assert endpoint.options == {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}


@pytest.mark.parametrize("missing", ["host", "login", "schema"])
def test_a_postgres_connection_without(missing: str) -> None:
    fields: dict[str, Any] = {"host": "db", "login": "u", "schema": "d", missing: None}
    with pytest.raises(ConnectionInvalid, match=r"host, login and database must be set.*\[c\]"):
        postgres_endpoint(connection("postgres", **fields))


def test_the_ledger_s_url_keeps_any_password() -> None:
    password = "p:/@w%r d'\"#?"
    given = connection(
        "postgres", {"sslmode": "require"}, host="db", login="u@x", password=password, schema="l"
    )
    url = ledger_url(given)
    assert (url.username, url.password, url.database) == ("u@x", password, "l")
    assert url.query == {"sslmode": "require"}
    assert password not in str(url)


def test_a_connection_that_airflow_does_not_have() -> None:
    with pytest.raises(ConnectionInvalid, match=r"no such connection \[nowhere\].*connections add"):
        from_task("nowhere")


def test_the_hook_takes_the_engine_from_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_C", json.dumps({"conn_type": "elasticsearch", "host": "127.0.0.1", "port": 1})
    )
    hook = SearchHook(conn_id="c")
    assert hook.client is hook.get_conn()
    assert hook.client.engine.value == "elasticsearch"
    works, text = hook.test_connection()
    assert not works
    assert "http://127.0.0.1:1" in text
    monkeypatch.setenv("AIRFLOW_CONN_C", json.dumps({"conn_type": "http", "host": "h"}))
    works, text = SearchHook(conn_id="c").test_connection()
    assert (works, "neither opensearch nor elasticsearch" in text) == (False, True)
