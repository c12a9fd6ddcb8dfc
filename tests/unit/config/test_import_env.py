"""Dify's environment names -> configuration and connections that really work together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from airflow_provider_logmigrate.config.entities import StoreType
from airflow_provider_logmigrate.config.import_env import import_dify_environment
from airflow_provider_logmigrate.config.loader import load
from airflow_provider_logmigrate.core.errors import ConfigInvalid

DATABASE = {
    "DB_HOST": "pg.example",
    "DB_PORT": "5433",
    "DB_USERNAME": "dify",
    "DB_PASSWORD": " s3cret ",
    "DB_DATABASE": "dify_main",
}
HOST = {"ELASTICSEARCH_HOSTS": "es:9200"}
FULL = {
    **DATABASE,
    "ELASTICSEARCH_HOSTS": " es1:9200 , https://es2:9201/ ,, ",
    "ELASTICSEARCH_USERNAME": "elastic",
    "ELASTICSEARCH_PASSWORD": "p@ss: {word}",
    "ELASTICSEARCH_USE_SSL": "True",
    "ELASTICSEARCH_VERIFY_CERTS": "true",
    "ELASTICSEARCH_CA_CERTS": "/certs/ca.pem",
    "ELASTICSEARCH_TIMEOUT": "45",
    "ELASTICSEARCH_INDEX_PREFIX": "logs",
    "PATH": "/bin",
}


def test_everything_is_taken_over(tmp_path: Path) -> None:
    imported = import_dify_environment(FULL)

    assert imported.warnings == ()
    assert imported.connections == {
        "logs_search": {
            "conn_type": "elasticsearch",
            "host": "es1:9200,https://es2:9201",
            "login": "elastic",
            "password": "p@ss: {word}",
            "schema": "https",
            "extra": {
                "verify_certs": True,
                "timeout": 45,
                "ca_certs": "/certs/ca.pem",
            },
        },
        "dify_postgres": {
            "conn_type": "postgres",
            "host": "pg.example",
            "port": 5433,
            "login": "dify",
            "password": " s3cret ",
            "schema": "dify_main",
        },
    }
    json.dumps(imported.connections)
    (tmp_path / "logmigrate.yaml").write_text(imported.yaml_text)
    (tmp_path / "dify-tenants.txt").write_text("t1\n")
    config = load(tmp_path / "logmigrate.yaml")
    found = config.migrations["dify_logs"]
    assert config.problems == ()
    assert (found.index_prefix, found.tenants, len(found.streams)) == ("logs", ("t1",), 4)
    assert found.source.connection == "dify_postgres"
    assert (found.target.connection, found.target.type) == (
        "logs_search",
        StoreType.ELASTICSEARCH,
    )


def test_defaults_are_difys() -> None:
    imported = import_dify_environment({**HOST, **DATABASE})
    search = imported.connections["logs_search"]

    assert imported.warnings == ()
    assert search["extra"] == {"verify_certs": True, "timeout": 30}
    assert (search["schema"], search["login"], search["password"]) == ("http", None, None)
    assert yaml.safe_load(imported.yaml_text)["migrations"]["dify_logs"]["index_prefix"] == "dify"


def test_opensearch_under_the_same_names() -> None:
    imported = import_dify_environment({**HOST, **DATABASE}, engine=StoreType.OPENSEARCH)

    assert imported.connections["logs_search"]["conn_type"] == "opensearch"
    assert "type: opensearch" in imported.yaml_text


def test_no_secret_leaves_the_connections() -> None:
    hosts = "https://me:t0psecret@es:9200"
    imported = import_dify_environment({**FULL, "ELASTICSEARCH_HOSTS": hosts})

    for secret in ("p@ss: {word}", "s3cret", "t0psecret"):
        assert secret not in imported.yaml_text
        assert secret not in repr(imported)
        assert not any(secret in warning for warning in imported.warnings)


def test_a_login_inside_a_host_moves_to_the_connection() -> None:
    hosts = '["http://me:p%40ss@es1:9200", "es2:9200"]'
    imported = import_dify_environment({**DATABASE, "ELASTICSEARCH_HOSTS": hosts})
    search = imported.connections["logs_search"]

    assert (search["host"], search["login"], search["password"]) == (
        "http://es1:9200,es2:9200",
        "me",
        "p@ss",
    )
    assert [w for w in imported.warnings if "carries a login: it was moved" in w]


@pytest.mark.parametrize(
    ("env", "warning"),
    [
        ({"ELASTICSEARCH_HOST": "x"}, "ELASTICSEARCH_HOST isn't known and was ignored; did you"),
        ({"ELASTICSEARCH_API_KEY": "k"}, "ELASTICSEARCH_API_KEY isn't known and was ignored"),
        ({"ELASTICSEARCH_USE_SSL": "maybe"}, "ELASTICSEARCH_USE_SSL is neither true nor false"),
        ({"ELASTICSEARCH_VERIFY_CERTS": "no"}, "anyone on the way can read the logs"),
        ({"ELASTICSEARCH_TIMEOUT": "soon"}, "ELASTICSEARCH_TIMEOUT is no whole number: 30 is"),
        ({"ELASTICSEARCH_MAX_RETRIES": "7"}, "ELASTICSEARCH_MAX_RETRIES isn't taken over"),
        ({"ELASTICSEARCH_TIMEOUT": "-1"}, "ELASTICSEARCH_TIMEOUT is no whole number: 30"),
        ({"ELASTICSEARCH_INDEX_PREFIX": "Dify*"}, "can't begin index names"),
        ({"ELASTICSEARCH_RETENTION_DAYS": "30"}, "ELASTICSEARCH_RETENTION_DAYS isn't taken over"),
        (
            {"ELASTICSEARCH_USE_SSL": "1", "ELASTICSEARCH_HOSTS": "http://es:9200"},
            "http://es:9200 says http although ELASTICSEARCH_USE_SSL is true: https is used",
        ),
        ({"DB_HOST": " "}, "DB_HOST not set: make the connection dify_postgres by hand"),
        ({"DB_TYPE": "mysql"}, "only PostgreSQL can be migrated from"),
    ],
)
def test_what_is_not_taken_over_is_told(env: dict[str, str], warning: str) -> None:
    imported = import_dify_environment({**HOST, **DATABASE, **env})

    assert len(imported.warnings) == 1
    assert warning in imported.warnings[0]


@pytest.mark.parametrize("env", [{}, {"ELASTICSEARCH_HOSTS": " , "}, {"ELASTICSEARCH_HOSTS": "[]"}])
def test_without_a_host(env: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid, match="set ELASTICSEARCH_HOSTS"):
        import_dify_environment(env)
