"""Which tables hold a stream's rows, how many blocks they have, and if these can be read in order.

Reading a range of blocks needs the ``Tid Range Scan`` of PostgreSQL 14; before that the same
condition scans the whole table each time.
"""

from __future__ import annotations

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.errors import PlanUnusable, SourceUnsuitable
from airflow_provider_logmigrate.core.stream import Stream
from airflow_provider_logmigrate.core.sweep import Part, Place, Relation
from airflow_provider_logmigrate.stores.postgres.catalog import identifier

OLDEST = 140000
"""PostgreSQL 14 brought the Tid Range Scan."""

BLOCK_PLAN = {
    # A range of blocks is one backend's walk through it, in order, whatever the planner thinks.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "max_parallel_workers_per_gather": "0",
}
_INSTEAD = "set the stream's strategy to by_key, keyset or by_parent"


def relations(connection: PgConnection, stream: Stream) -> tuple[Relation, ...]:
    """The tables that hold a stream's rows themselves: one, or the partitions of one.

    Blocks are counted now: what is appended later lies behind them and isn't swept.

    :raises SourceUnsuitable: too old a server, or rows that don't lie in blocks (a view, a foreign
        table).
    """
    if connection.server_version < OLDEST:
        raise SourceUnsuitable(
            f"PostgreSQL {connection.server_version // 10000} can't read a range of blocks, a"
            " sweep needs 14 or newer",
            where=stream.table,
            next_step=f"upgrade the server, or {_INSTEAD}",
        )
    name = identifier(stream.table).as_string(connection)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname, c.relname, c.relkind::text, pg_relation_filenode(c.oid),"
            " pg_relation_size(c.oid) / current_setting('block_size')::int"
            # Of a table that isn't partitioned the children by INHERITS hold rows as well.
            " FROM (WITH RECURSIVE t(oid) AS (SELECT to_regclass(%s)::oid UNION"
            " SELECT i.inhrelid FROM pg_inherits i JOIN t ON t.oid = i.inhparent)"
            " SELECT oid FROM t) AS t JOIN pg_class c ON c.oid = t.oid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind NOT IN ('p', 'I') ORDER BY n.nspname, c.relname",
            (name,),
        )
        found = cursor.fetchall()
    for schema, table, kind, _, _ in found:
        if kind not in ("r", "m"):
            raise SourceUnsuitable(
                "the rows don't lie in blocks of this server: it is no plain table",
                where=f"{schema}.{table}",
                next_step=_INSTEAD,
            )
    return tuple(Relation(schema, table, file, blocks) for schema, table, _, file, blocks in found)


def check_scan(connection: PgConnection, relation: Relation) -> None:
    """:raises SourceUnsuitable: a range of blocks isn't read by a Tid Range Scan.

    :param connection: with the settings of :data:`BLOCK_PLAN`.
    """
    query = sql.SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {} WHERE {}").format(
        from_only(relation), between(Place(0), 1)
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        answer = cursor.fetchone()
    node = answer[0][0]["Plan"]["Node Type"] if answer else "nothing"
    if node != "Tid Range Scan":
        raise SourceUnsuitable(
            f"a range of blocks is read by a {node}, not by a Tid Range Scan",
            where=str(relation),
            next_step=_INSTEAD,
        )


def from_only(relation: Relation) -> sql.Composable:
    """``ONLY "schema"."table" AS w``."""
    return sql.SQL("ONLY {} AS w").format(sql.Identifier(relation.schema, relation.name))


def between(after: Place, end: int) -> sql.Composable:
    """Rows behind a place and before a block."""
    return sql.SQL("w.ctid > {}::tid AND w.ctid < {}::tid").format(
        sql.Literal(str(after)), sql.Literal(str(Place(end)))
    )


def version_now(connection: PgConnection, part: Part) -> int:
    """The source's time in microseconds, for the documents of the page that is read next.

    :raises PlanUnusable: the table was written anew or is gone, so places mean other rows.
    """
    relation = part.relation
    name = sql.Identifier(relation.schema, relation.name).as_string(connection)
    with connection.cursor() as cursor:
        # Taken before the statement's snapshot: content is never older than its version.
        cursor.execute(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint,"
            " pg_relation_filenode(to_regclass(%s))",
            (name,),
        )
        found = cursor.fetchone()
    now, file = found or (0, None)
    if file != relation.file:
        why = "is gone" if file is None else "was written anew, which moved its rows,"
        raise PlanUnusable(
            f"the table {why} since the sweep was planned",
            where=part.key,
            next_step="trigger the sweep's DAG again: its plan_sweep task makes a new plan",
        )
    return int(now)
