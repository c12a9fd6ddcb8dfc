"""How the dev stack's Airflow finds the stores: a configuration file and three connections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from devstack.sampledata.profiles import PROFILES

MIGRATION = "dify_logs"
"""Name of the migration in the configuration."""

_CONFIG = """\
# The dev stack's configuration: the sample data of three tenants. Yours to change; it is written
# once and kept. dags/logmigrate.example.yaml shows every key.
version: 1

stores:
  dify_db: {{type: postgres, connection: dify_postgres}}
  search: {{type: opensearch, connection: logs_search}}

migrations:
  {migration}:
    pack: dify
    source: dify_db
    target: search
    tenants:
      list:
{tenants}
    from: {first_day}
    to: {last_day}
    offload: {{url: {storage}}}
"""

_PURGE = """\
    purge: {} # what is proven and cut over may leave the source, when a person has approved it
"""


def write_config(path: Path, *, storage: Path, purge: bool = False) -> Path:
    """
    Write the configuration unless it is there, and return its path.

    :param storage: folder of the offloaded contents.
    :param purge: allow it to delete from the source.
    """
    if not path.exists():
        profile = PROFILES["demo"]
        text = _CONFIG.format(
            migration=MIGRATION,
            tenants="\n".join(f"        - {tenant}" for tenant in profile.tenant_ids),
            first_day=f"{profile.month_starts[0]:%Y-%m-%d}",
            last_day=profile.last_day,
            # A JSON string is YAML as well, whatever is in the path.
            storage=json.dumps(f"file://{storage}"),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + (_PURGE if purge else ""))
    return path


def connections(*, dify_dsn: str, ledger_dsn: str, search_url: str) -> dict[str, str]:
    """The Airflow connections, as the environment variables of Airflow's processes."""
    return {
        **in_environment("dify_postgres", postgres_fields(dify_dsn)),
        **in_environment("logmigrate_ledger", postgres_fields(ledger_dsn)),
        **in_environment("logs_search", opensearch_fields(search_url)),
    }


def in_environment(conn_id: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """The environment variable that gives Airflow a connection."""
    return {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(fields)}


def postgres_fields(dsn: str) -> dict[str, Any]:
    """A connection to a database."""
    parts = urlsplit(dsn)
    return {
        "conn_type": "postgres",
        "host": parts.hostname,
        "port": parts.port,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": unquote(parts.path.lstrip("/")),
    }


def opensearch_fields(url: str) -> dict[str, Any]:
    """A connection to the engine."""
    parts = urlsplit(url)
    return {
        "conn_type": "opensearch",
        "schema": parts.scheme,
        "host": parts.hostname,
        "port": parts.port,
    }
