"""Preflight: what the source offers for a stream, and the read strategy with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.errors import SourceUnsuitable
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.ports import TimeRange
from airflow_provider_logmigrate.core.stream import SettledWithParent, Stream, StreamShape
from airflow_provider_logmigrate.core.unit import Period
from airflow_provider_logmigrate.stores.postgres.catalog import (
    TableFacts,
    shape_of,
    table_facts,
)
from airflow_provider_logmigrate.stores.postgres.row_query import page_query, row_condition
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from airflow_provider_logmigrate.stores.postgres.session import PAGE_PLAN, Sessions


@dataclass(frozen=True, slots=True)
class Preflight:
    """Everything found out about one stream before the first row is read.

    :param notes: for the plan's warnings.
    :param bytes_per_row: of the table with TOAST, for estimates.
    """

    shape: StreamShape
    facts: TableFacts
    strategy: ReadStrategy
    reason: str
    notes: tuple[str, ...]

    @property
    def bytes_per_row(self) -> float:
        """Bytes of the table per row; 0 if it was never analysed."""
        return self.facts.bytes / self.facts.rows if self.facts.rows > 0 else 0.0

    @property
    def finds_tenants(self) -> bool:
        """True if an index leads on tenant and event time: a period is found without a scan."""
        stream = self.shape.stream
        wanted = (stream.tenant_column, stream.event_time)
        return any(index[:2] == wanted for index in self.facts.indexes)


def choose_strategy(
    stream: Stream, indexes: tuple[tuple[str, ...], ...]
) -> tuple[ReadStrategy, str]:
    """The strategy that fits the indexes, and why.

    Pure: decided from index column lists alone, best first.
    """
    tenant, at, key = stream.tenant_column, stream.event_time, stream.key
    wanted: tuple[str, ...]
    for wanted in ((tenant, at, key), (tenant, at)):
        if any(index[: len(wanted)] == wanted for index in indexes):
            return ReadStrategy.KEYSET, f"an index leads on ({', '.join(wanted)})"
    for wanted in ((at, key), (at,)):
        if any(index[: len(wanted)] == wanted for index in indexes):
            return (
                ReadStrategy.KEYSET,
                f"an index leads on ({', '.join(wanted)}); pages also pass other tenants' rows,"
                f" an index on ({tenant}, {at}, {key}) would avoid that",
            )
    if stream.parent and any(index[:1] == (stream.parent.foreign_key,) for index in indexes):
        return (
            ReadStrategy.BY_PARENT,
            f"no index leads on {at}; one leads on {stream.parent.foreign_key}",
        )
    return (
        ReadStrategy.BY_KEY,
        f"no usable index: keys are listed by a scan, pages follow by {key}; an index on"
        f" ({tenant}, {at}, {key}), created CONCURRENTLY, would avoid the scan",
    )


def preflight(
    sessions: Sessions, stream: Stream, *, forced: ReadStrategy | None = None
) -> Preflight | None:
    """Look at a stream's table.

    :param forced: the strategy the user asked for.
    :returns: ``None`` if the table is optional and this source doesn't have it.
    :raises SourceUnsuitable: the table or a required column is missing, or can't be read.
    """

    def look(connection: PgConnection) -> Preflight | None:
        notes = list(_server_notes(connection))
        facts = table_facts(connection, stream.table)
        if facts is None:
            if stream.optional_table:
                return None
            raise SourceUnsuitable(f"there is no table {stream.table}", where=stream.name)
        rule = stream.settled
        if isinstance(rule, SettledWithParent) and not table_facts(connection, rule.parent_table):
            raise SourceUnsuitable(
                f"there is no table {rule.parent_table}, which decides what is settled",
                where=stream.name,
            )
        shape = shape_of(connection, stream, facts)
        strategy, reason = choose_strategy(stream, facts.indexes)
        if forced is not None and forced is not strategy:
            if forced is ReadStrategy.BY_PARENT and stream.parent is None:
                raise SourceUnsuitable(
                    "strategy by_parent is forced, but the stream has no parent",
                    where=stream.name,
                    next_step="set strategy to auto, keyset or by_key",
                )
            strategy, reason = forced, f"forced by the configuration (automatic: {strategy.value})"
        return Preflight(shape, facts, strategy, reason, (*notes, *shape.notes))

    return sessions.run(look)


def explain_page(sessions: Sessions, found: Preflight, tenant: str, period: Period) -> str | None:
    """A warning if the first page of a keyset read wouldn't follow an index, else ``None``."""
    if found.strategy is not ReadStrategy.KEYSET:
        return None
    rows = RowSql(found.shape, not_null=found.facts.not_null)
    part = TimeRange(period.start, period.end)
    query = sql.SQL("EXPLAIN (FORMAT JSON) {}").format(
        page_query(rows, row_condition(rows, tenant, part, None), limit=1000)
    )

    def run(connection: PgConnection) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(query)
            answer = cursor.fetchone()
        return list(_node_types(answer[0][0]["Plan"])) if answer else []

    with sessions.session(PAGE_PLAN) as session:
        nodes = session.run(run)
    if "Sort" in nodes or "Seq Scan" in nodes:
        return (
            f"{found.shape.stream.table}: a page isn't read along an index"
            f" ({', '.join(nodes)}); expect repeated scans"
        )
    return None


def _node_types(node: dict) -> list[str]:  # type: ignore[type-arg]
    types = [str(node["Node Type"])]
    for child in node.get("Plans", []):
        # Those look at other tables: the row's parent, whether there is any offloaded content.
        if child.get("Parent Relationship") not in ("SubPlan", "InitPlan"):
            types += _node_types(child)
    return types


def _server_notes(connection: PgConnection) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_is_in_recovery(), current_setting('server_encoding'),"
            " current_setting('server_version_num')::int"
        )
        found = cursor.fetchone()
    if found is None:
        return []
    replica, encoding, version = found
    notes = []
    if replica:
        notes.append("the source is a read replica: cancelled queries are retried")
    if encoding == "SQL_ASCII":
        raise SourceUnsuitable(
            "the database's encoding is SQL_ASCII, its texts have no defined characters",
            where=encoding,
            next_step="dump and restore into a UTF8 database first",
        )
    if version < 120000:
        raise SourceUnsuitable(
            f"PostgreSQL {version // 10000} is too old, 12 or newer is needed",
            where=str(version),
            next_step="upgrade the server",
        )
    return notes
