"""Which tenants a source holds."""

from __future__ import annotations

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.stream import Stream
from airflow_provider_logmigrate.stores.postgres.catalog import identifier, table_facts
from airflow_provider_logmigrate.stores.postgres.session import Sessions


def list_tenants(sessions: Sessions, stream: Stream) -> list[str]:
    """Distinct tenants of a stream's table; none if the table is missing."""

    def work(connection: PgConnection) -> list[str]:
        if table_facts(connection, stream.table) is None:
            return []
        query = sql.SQL("SELECT DISTINCT {0}::text FROM {1} WHERE {0} IS NOT NULL").format(
            sql.Identifier(stream.tenant_column), identifier(stream.table)
        )
        with connection.cursor() as cursor:
            cursor.execute(query)
            return [name for (name,) in cursor.fetchall()]

    return sessions.run(work)
