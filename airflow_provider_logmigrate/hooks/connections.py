"""From Airflow connections to endpoints. Secrets go straight into the endpoint and nowhere else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import ConnectionInvalid

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from sqlalchemy import URL

    from airflow_provider_logmigrate.config.entities import StoreType
    from airflow_provider_logmigrate.stores.postgres.session import PostgresEndpoint
    from airflow_provider_logmigrate.stores.search.endpoint import Endpoint

Lookup = Callable[[str], "Connection"]
"""Finds a connection by id. Tasks ask Airflow's API server, the command line asks its database."""

_LIBPQ = frozenset(
    {
        "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "options", "target_session_attrs",
        "hostaddr", "passfile", "gssencmode", "krbsrvname", "channel_binding", "tcp_user_timeout",
        "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    }
)  # fmt: skip


def from_task(conn_id: str) -> Connection:
    """Look a connection up inside a task. :raises ConnectionInvalid: there is none."""
    from airflow.sdk import BaseHook

    return _found(conn_id, BaseHook.get_connection)


def from_server(conn_id: str) -> Connection:
    """Look a connection up from the command line, Airflow's database included."""
    from airflow.models.connection import Connection as ServerConnection

    return _found(conn_id, ServerConnection.get_connection_from_secrets)


def _found(conn_id: str, get: Callable[[str], Any]) -> Connection:
    from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

    try:
        connection: Connection = get(conn_id)
    except (AirflowException, AirflowRuntimeError) as error:
        raise ConnectionInvalid(
            "Airflow has no such connection",
            where=conn_id,
            next_step=f"create it: airflow connections add {conn_id} --conn-json '{{...}}'",
        ) from error
    return connection


def _of_type(connection: Connection, wanted: str) -> None:
    if connection.conn_type != wanted:
        raise ConnectionInvalid(
            f"the connection's type is {connection.conn_type or 'empty'}, wanted is {wanted}",
            where=connection.conn_id,
        )


def _extras(connection: Connection) -> Mapping[str, Any]:
    """The connection's extra, read strictly: one that is passed over would drop TLS settings."""
    try:
        extras = json.loads(connection.extra or "{}")
    except ValueError:
        extras = None
    if not isinstance(extras, dict):
        raise ConnectionInvalid("extra isn't a JSON object", where=connection.conn_id)
    return extras


def postgres_endpoint(
    connection: Connection, *, statement_timeout: float = 300.0
) -> PostgresEndpoint:
    """Endpoint of a ``postgres`` connection; libpq parameters come from its extras.

    :param statement_timeout: seconds.
    :raises ConnectionInvalid: wrong type, or host, login or database is missing.
    """
    from airflow_provider_logmigrate.stores.postgres.session import PostgresEndpoint

    _of_type(connection, "postgres")
    if not (connection.host and connection.login and connection.schema):
        raise ConnectionInvalid("host, login and database must be set", where=connection.conn_id)
    options = {k: str(v) for k, v in _extras(connection).items() if k in _LIBPQ}
    return PostgresEndpoint(
        host=connection.host,
        port=connection.port or 5432,
        user=connection.login,
        dbname=connection.schema,
        password=connection.password,
        options=options,
        statement_timeout=statement_timeout,
        label=connection.conn_id,
    )


def ledger_url(connection: Connection) -> URL:
    """SQLAlchemy URL of the ledger's ``postgres`` connection."""
    from sqlalchemy import URL

    end = postgres_endpoint(connection)
    return URL.create(
        "postgresql+psycopg2",
        username=end.user,
        password=end.password,
        host=end.host,
        port=end.port,
        database=end.dbname,
        query=dict(end.options),
    )


def search_endpoint(connection: Connection, engine: StoreType) -> Endpoint:
    """Endpoint of Airflow's own ``opensearch`` or ``elasticsearch`` connection.

    Several hosts: comma-separated, each may carry its own scheme and port. Extras: ``use_ssl`` or
    ``scheme``, ``verify_certs`` (true unless set), ``ca_certs`` (path), ``api_key``, ``timeout``
    (seconds). TLS certificates are verified unless the connection says otherwise.
    """
    from airflow_provider_logmigrate.stores.search.endpoint import Endpoint, Engine

    _of_type(connection, engine.value)
    extras = _extras(connection)
    scheme = extras.get("scheme") or (
        connection.schema
        if connection.schema in ("http", "https")
        else ("https" if _truth(extras.get("use_ssl"), default=False) else "http")
    )
    hosts = tuple(
        _host_url(host.strip(), scheme, connection.port)
        for host in (connection.host or "").split(",")
        if host.strip()
    )
    if not hosts:
        raise ConnectionInvalid("host must be set", where=connection.conn_id)
    api_key = extras.get("api_key")
    return Endpoint(
        engine=Engine(engine.value),
        hosts=hosts,
        username=connection.login if not api_key else None,
        password=connection.password if not api_key else None,
        api_key=str(api_key) if api_key else None,
        verify_certs=_truth(extras.get("verify_certs"), default=True),
        ca_certs=extras.get("ca_certs"),
        timeout_seconds=_seconds(extras.get("timeout", 30), connection.conn_id),
    )


def _host_url(host: str, scheme: str, port: int | None) -> str:
    given, separator, rest = host.rpartition("://")
    address, slash, path = rest.partition("/")
    has_port = ":" in address and not address.endswith("]")
    if port is not None and not has_port:
        address = f"{address}:{port}"
    return f"{given if separator else scheme}://{address}{slash}{path}"


def _seconds(value: Any, conn_id: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConnectionInvalid(
            f"extra timeout is {value!r}, wanted is a number of seconds above 0", where=conn_id
        )
    return seconds


def _truth(value: Any, *, default: bool) -> bool:
    if value is None or value == "":
        return default
    if isinstance(value, str):
        return value.strip().lower() not in ("false", "0", "no", "off")
    return bool(value)
