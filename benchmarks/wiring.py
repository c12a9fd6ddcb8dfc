"""Configuration and connections of the measured processes, without Airflow's database.

Jobs use the same assembly as the operators; only the lookup of connections is theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

MIGRATION = "bench"

_CONFIG = """\
version: 1
stores:
  source: {{type: postgres, connection: source}}
  search: {{type: opensearch, connection: search}}
migrations:
  {migration}:
    pack: dify
    source: source
    target: search
    tenants: {{list: [{tenants}]}}
    from: {first}
    to: {last}
    lanes: {lanes}
"""
_PURGE = """\
    purge: {{approval: false}}
    offload: {{url: {files}}}
"""


def write_config(
    path: Path,
    *,
    tenants: Sequence[str],
    first: str,
    last: str,
    lanes: int = 1,
    files: Path | None = None,
) -> Path:
    """Write a configuration with one migration of the given tenants and days.

    :param files: folder of offloaded content, for a migration that may purge.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = ", ".join(json.dumps(tenant) for tenant in tenants)
    text = _CONFIG.format(migration=MIGRATION, tenants=listed, first=first, last=last, lanes=lanes)
    if files is not None:
        text += _PURGE.format(files=files.as_uri())
    path.write_text(text)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainConnection:
    """Has what the provider reads of an Airflow connection."""

    conn_id: str
    conn_type: str
    host: str
    port: int
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    extra: str | None = None


def postgres(conn_id: str, dsn: str) -> dict[str, Any]:
    """A connection to a database, as JSON values."""
    parts = urlsplit(dsn)
    return {
        "conn_id": conn_id,
        "conn_type": "postgres",
        "host": parts.hostname,
        "port": parts.port,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": unquote(parts.path.lstrip("/")),
    }


def search(conn_id: str, url: str) -> dict[str, Any]:
    """A connection to the engine, as JSON values."""
    parts = urlsplit(url)
    return {
        "conn_id": conn_id,
        "conn_type": "opensearch",
        "host": parts.hostname,
        "port": parts.port,
    }


def for_airflow(connection: Mapping[str, Any]) -> dict[str, str]:
    """The environment variable that gives Airflow this connection."""
    record = {name: value for name, value in connection.items() if name != "conn_id"}
    return {f"AIRFLOW_CONN_{connection['conn_id'].upper()}": json.dumps(record)}
