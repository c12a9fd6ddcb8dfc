"""How much a purge of a unit would take, in which units it lies, and what names it from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_scope import Scope
from airflow_provider_logmigrate.core.unit import UTC, Period, Unit
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.dependents_sql import free
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from airflow_provider_logmigrate.stores.postgres.session import Sessions


@dataclass(slots=True)
class PurgeSurvey:
    """What a purge of one unit would take.

    :param units: every unit that rows would go of.
    :param unplaced: rows that belong to no period, by table: what they hang on stays.
    """

    rows: dict[str, int] = field(default_factory=dict)
    units: set[Unit] = field(default_factory=set)
    bytes: int = 0
    held_back: int = 0
    references: dict[str, int] = field(default_factory=dict)
    unplaced: dict[str, int] = field(default_factory=dict)


def survey_purge(
    sessions: Sessions,
    scope: Scope,
    rows: Mapping[str, RowSql],
    tables: Tables,
    plan: UnitPlan,
    *,
    period_of: Callable[[datetime], Period],
) -> PurgeSurvey:
    """Count a unit's rows that would go and those that hang on them, one statement per table."""
    return sessions.run(lambda c: _Survey(scope, rows, tables, plan, period_of).of(c))


class _Survey:
    def __init__(
        self,
        scope: Scope,
        rows: Mapping[str, RowSql],
        tables: Tables,
        plan: UnitPlan,
        period_of: Callable[[datetime], Period],
    ) -> None:
        self._scope, self._rows, self._tables = scope, rows, tables
        self._plan, self._period_of = plan, period_of
        self._root = rows[scope.stream.name]

    def of(self, connection: PgConnection) -> PurgeSurvey:
        found = PurgeSurvey()
        root, unit = self._root, self._plan.unit
        within = root.within(unit.tenant, unit.period.start, unit.period.end)
        going_alone = free(self._scope, root)
        query = sql.SQL(
            "SELECT count(*) FILTER (WHERE {free}), count(*) FILTER (WHERE NOT {settled})"
            " FROM {table} WHERE {within}"
        ).format(free=going_alone, settled=root.settled, table=root.table, within=within)
        ((going, found.held_back),) = _fetch(connection, query)
        found.rows[self._scope.stream.table] = going
        if not going:
            return found
        found.units.add(unit)
        where = sql.SQL("{} AND {}").format(within, going_alone)
        joined: dict[str, tuple[sql.Composable, str]] = {
            self._scope.stream.table: (root.table, "w")
        }
        for number, part in enumerate(self._scope.parts):
            this, alias = part.dependent, f"d{number}"
            if this.of not in joined:
                continue
            above, parent = joined[this.of]
            chain = sql.SQL("{} JOIN {} AS {} ON {} = {}").format(
                above,
                identifier(this.table),
                sql.Identifier(alias),
                sql.Identifier(alias, this.column),
                sql.Identifier(parent, this.of_column),
            )
            joined[this.table] = chain, alias
            self._count(connection, found, part.stream, this.table, alias, chain, where)
        for reference in self._scope.references:
            query = sql.SQL(
                "SELECT count(*) FROM {table} JOIN {other} AS r ON {column}::text = {key}::text"
                " WHERE {where}"
            ).format(
                table=root.table,
                other=identifier(reference.table),
                column=sql.Identifier("r", reference.column),
                key=root.key,
                where=where,
            )
            ((found.references[reference.table],),) = _fetch(connection, query)
        found.bytes = sum(
            int(count * max(0.0, self._tables.facts[table].bytes / facts.rows))
            for table, count in found.rows.items()
            if (facts := self._tables.facts[table]).rows > 0
        )
        return found

    def _count(
        self,
        connection: PgConnection,
        found: PurgeSurvey,
        stream: str | None,
        table: str,
        alias: str,
        chain: sql.Composable,
        where: sql.Composable,
    ) -> None:
        day: sql.Composable = sql.NULL
        if stream is not None:
            rows = self._rows[stream]
            at = sql.Identifier(alias, rows.stream.event_time)
            day = sql.SQL(
                "CASE WHEN {at} >= {first} AND {at} < {end}"
                " THEN to_char({at}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD') END"
            ).format(
                at=at,
                first=rows.moment("0001-01-01T00:00:00+00:00"),
                end=rows.moment("9999-12-01T00:00:00+00:00"),
            )
        query = sql.SQL("SELECT {}, count(*) FROM {} WHERE {} GROUP BY 1").format(day, chain, where)
        for at, count in _fetch(connection, query):
            found.rows[table] = found.rows.get(table, 0) + count
            if stream is None:
                continue
            if at is None:
                found.unplaced[table] = found.unplaced.get(table, 0) + count
                continue
            moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
            found.units.add(Unit(stream, self._plan.unit.tenant, self._period_of(moment)))


def _fetch(connection: PgConnection, query: sql.Composable) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
