"""The tables of a purge's scope as this source has them: types, indexes, what forbids a delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.purge_scope import Part, Scope
from airflow_provider_logmigrate.core.stream import Column, ColumnKind
from airflow_provider_logmigrate.stores.postgres.catalog import (
    TableFacts,
    identifier,
    table_facts,
)
from airflow_provider_logmigrate.stores.postgres.row_sql import cast_type
from airflow_provider_logmigrate.stores.postgres.session import Sessions

_CASCADES = """
SELECT c.conrelid::regclass::text, c.confrelid::regclass::text FROM pg_constraint AS c
WHERE c.contype = 'f' AND c.confrelid = to_regclass(%s) AND c.conparentid = 0
"""
_TRIGGERS = """
SELECT t.tgname FROM pg_trigger AS t
WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal AND t.tgtype & 8 <> 0
    AND t.tgenabled <> 'D'
"""
_PRIVILEGES = """
SELECT has_table_privilege(c.oid, 'DELETE'), has_table_privilege(c.oid, 'UPDATE'),
       c.relkind IN ('r', 'p'), c.oid::regclass::text
FROM pg_class AS c WHERE c.oid = to_regclass(%s)
"""


@dataclass(frozen=True, slots=True)
class Tables:
    """Facts by table, as a stream or a dependent names them."""

    facts: Mapping[str, TableFacts]

    def cast(self, table: str, column: str) -> sql.Composable:
        """The column's type, for casts that change nothing."""
        kind = dict(self.facts[table].columns)[column]
        return sql.SQL(cast_type(Column(column, ColumnKind.OTHER, kind)))

    def has(self, table: str, column: str) -> bool:
        """True if the table has the column."""
        return column in dict(self.facts[table].columns)

    def leads(self, table: str, column: str) -> bool:
        """True if an index finds rows by this column."""
        return any(index[:1] == (column,) for index in self.facts[table].indexes)

    def by_parent(self, scope: Scope, part: Part) -> bool:
        """True if rows are deleted by what they belong to, so that none can be overlooked."""
        this = part.dependent
        return (
            this.column != this.key
            and self.leads(this.table, this.column)
            and self.names_parent(scope, part)
        )

    def names_parent(self, scope: Scope, part: Part) -> bool:
        """True if rows name what they belong to by its key."""
        this = part.dependent
        keys = {scope.stream.table: scope.stream.key}
        keys |= {other.table: other.dependent.key for other in scope.parts}
        return keys.get(this.of) == this.of_column


def look_up(sessions: Sessions, tables: Iterable[str]) -> Tables:
    """Facts of those of the tables that exist."""

    def work(connection: PgConnection) -> dict[str, TableFacts]:
        found = {table: table_facts(connection, table) for table in dict.fromkeys(tables)}
        return {table: facts for table, facts in found.items() if facts is not None}

    return Tables(sessions.run(work))


def obstacles(sessions: Sessions, scope: Scope) -> tuple[list[str], list[str]]:
    """What forbids deleting from the scope's tables, and what a person should know.

    A foreign key from a table outside would delete or change rows that no plan names, or refuse
    every delete; a trigger may do anything.
    """

    def work(connection: PgConnection) -> tuple[list[str], list[str]]:
        forbidding: list[str] = []
        notes: list[str] = []
        with connection.cursor() as cursor:
            names = {}
            for table in scope.tables:
                name = identifier(table).as_string(connection)
                cursor.execute(_PRIVILEGES, (name,))
                deletes, locks, kept, names[table] = cursor.fetchone() or (False, True, True, table)
                if not kept:
                    forbidding.append(f"{table} isn't a table: a delete may take other rows")
                if not deletes:
                    forbidding.append(f"the login may not delete from {table}")
                if table == scope.stream.table and not locks:
                    what = f"the login may not lock rows of {table}, which takes UPDATE"
                    forbidding.append(what)
            for table in scope.tables:
                name = identifier(table).as_string(connection)
                cursor.execute(_CASCADES, (name,))
                forbidding += [
                    f"{other} has a foreign key to {table} and isn't part of the purge"
                    for other, _ in cursor.fetchall()
                    if other not in names.values()
                ]
                cursor.execute(_TRIGGERS, (name,))
                notes += [f"trigger {t} runs when a row of {table} goes" for (t,) in cursor]
        return forbidding, notes

    return sessions.run(work)
