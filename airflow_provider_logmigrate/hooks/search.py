"""Hook for OpenSearch and Elasticsearch behind Airflow's existing connection types."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from airflow_provider_logmigrate.core.errors import ConnectionInvalid, LogMigrateError
from airflow_provider_logmigrate.hooks.connections import Lookup, from_task, search_endpoint

if TYPE_CHECKING:
    from airflow_provider_logmigrate.stores.search.client import SearchClient


class SearchHook(BaseHook):
    """Gives a client for an ``opensearch`` or ``elasticsearch`` connection.

    :param conn_id: Airflow connection; its type says which engine is meant.
    :param lookup: how connections are found; tasks use the default.
    """

    def __init__(self, *, conn_id: str, lookup: Lookup = from_task) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._lookup = lookup

    @cached_property
    def client(self) -> SearchClient:
        """The client; connects with its first request."""
        from airflow_provider_logmigrate.config.entities import StoreType
        from airflow_provider_logmigrate.stores.search.client import SearchClient

        connection = self._lookup(self.conn_id)
        try:
            engine = StoreType(connection.conn_type or "")
        except ValueError:
            raise ConnectionInvalid(
                f"type {connection.conn_type} is neither opensearch nor elasticsearch",
                where=self.conn_id,
            ) from None
        return SearchClient(search_endpoint(connection, engine))

    def get_conn(self) -> SearchClient:
        """The client."""
        return self.client

    def test_connection(self) -> tuple[bool, str]:
        """For the Test button of Airflow's connection form."""
        try:
            info = self.client.info()
        except LogMigrateError as error:
            return False, str(error)
        return True, f"{info.flavour.value} {info.version}"
