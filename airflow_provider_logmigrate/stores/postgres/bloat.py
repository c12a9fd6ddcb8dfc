"""What a purge leaves behind in the tables, and what gives the space back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.session import Sessions

REWRITE_SHARE = 0.3
"""Share of dead rows from which rewriting a table is worth its cost; below it, VACUUM is enough."""

_FIGURES = """
SELECT coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0), pg_table_size(c.oid),
       pg_indexes_size(c.oid), c.oid::regclass::text
FROM pg_class AS c LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE c.oid = to_regclass(%s)
"""


@dataclass(frozen=True, slots=True)
class Bloat:
    """One table after a purge, by the server's own statistics, which lag by a moment.

    :param bytes: of the table with its TOAST; ``index_bytes`` of its indexes.
    """

    table: str
    live: int
    dead: int
    bytes: int
    index_bytes: int

    @property
    def share(self) -> float:
        """Share of dead rows."""
        return self.dead / max(1, self.live + self.dead)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to run, and what it costs."""
        vacuum = (
            f"VACUUM (ANALYZE) {self.table}; -- makes the space usable for new rows, blocks nobody"
        )
        if self.share < REWRITE_SHARE:
            return (vacuum,)
        return (
            vacuum,
            f"pg_repack --table={self.table} -- gives the space back to the disk, needs as much"
            " free space as the live rows take, and short exclusive locks",
        )


def bloat(sessions: Sessions, tables: Sequence[str]) -> list[Bloat]:
    """Figures of tables; those that don't exist are left out."""

    def work(connection: PgConnection) -> list[Bloat]:
        found = []
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(_FIGURES, (identifier(table).as_string(connection),))
                for live, dead, size, index_size, name in cursor.fetchall():
                    found.append(Bloat(name, live, dead, size, index_size))
        return found

    return sessions.run(work)


def vacuum(sessions: Sessions, tables: Sequence[str]) -> None:
    """Run ``VACUUM (ANALYZE)`` on tables, one after the other, as slowly as the server is set to.

    :raises SourceUnavailable: another session holds a table for more than a minute.
    """
    bounds = {"statement_timeout": "0", "lock_timeout": "60s"}
    with sessions.open(bounds) as connection, connection.cursor() as cursor:
        for table in tables:
            cursor.execute(sql.SQL("VACUUM (ANALYZE) {}").format(identifier(table)))
