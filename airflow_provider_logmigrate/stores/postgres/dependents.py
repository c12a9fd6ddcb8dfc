"""Lists a unit's rows with everything that hangs on them, one statement per table.

The server adds up keys, versions and fingerprints by what the rows hang on, so a run with its steps
is a few values here. Also without an index on the dependents' foreign key that is one scan per
table and window, not one per batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_ports import (
    Group,
    GroupWindow,
    Member,
    Rows,
    StoredObject,
)
from airflow_provider_logmigrate.core.purge_scope import Part, Scope
from airflow_provider_logmigrate.core.stream import Dependent
from airflow_provider_logmigrate.core.unit import UTC, Period, Unit
from airflow_provider_logmigrate.stores.postgres.arrays import array
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col

VERSION = sql.SQL("w.xmin::text")
"""The transaction that wrote a row's version. While a row can be seen, no other version of it has
the same: it is the mark by which a delete knows that a row is the one that was read."""

_HALF = "('x' || substr(f, {}, 8))::bit(32)::bigint"
_HALVES = sql.SQL(f"{_HALF.format(1)}, {_HALF.format(9)}")
_SUMS = sql.SQL(f"sum({_HALF.format(1)}), sum({_HALF.format(9)})")


@dataclass(frozen=True, slots=True)
class _Listed:
    """Rows as they were listed.

    :param values: by column, for each row: what other tables' rows are found by, and what names an
        object.
    """

    group: Group
    rows: Rows
    values: Mapping[str, Sequence[str | None]]


class Lister:
    """Lists groups of one scope.

    :param rows: of the copied streams, by name.
    :param period_of: the period of an event time.
    """

    def __init__(
        self,
        scope: Scope,
        rows: Mapping[str, RowSql],
        tables: Tables,
        *,
        period_of: Callable[[datetime], Period],
    ) -> None:
        self._scope, self._rows, self._tables = scope, rows, tables
        self._period_of = period_of
        self._root = rows[scope.stream.name]
        self._units: dict[Unit, Unit] = {}
        self._hours: dict[tuple[str, str, str], tuple[Unit, datetime]] = {}

    def window(
        self, connection: PgConnection, plan: UnitPlan, *, after: Cursor | None, limit: int
    ) -> GroupWindow:
        """See :meth:`PurgeSource.groups`."""
        listed: dict[str, list[_Listed]] = {self._scope.stream.table: []}
        last: Cursor | None = None
        for found, at in self._roots(connection, plan, after, limit):
            listed[self._scope.stream.table].append(found)
            last = Cursor(at, found.group.key)
        groups = [found.group for found in listed[self._scope.stream.table]]
        for part in self._scope.parts:
            listed[part.table] = list(self._children(connection, plan, part, listed))
        return GroupWindow(groups, last if len(groups) == limit else None)

    def free(self) -> sql.Composable:
        """True for settled rows that belong to no other row: those that go by themselves."""
        return sql.SQL(" AND ").join(
            [self._root.settled, *(_ownerless(owner) for owner in self._scope.owners)]
        )

    def _roots(
        self, connection: PgConnection, plan: UnitPlan, after: Cursor | None, limit: int
    ) -> Iterator[tuple[_Listed, str]]:
        rows, names = self._root, self._followed(self._scope.stream.table)
        unit = plan.unit
        query = sql.SQL(
            "SELECT k, at, v, h, {halves}{outer} FROM ("
            "SELECT {key}::text AS k, p.at::timestamptz::text AS at, {version} AS v, {hour} AS h,"
            " {print} AS f{inner} FROM"
            # Keys first: rows that wait to be sorted are small, and only rows of this window are
            # fingerprinted.
            " (SELECT {key} AS id, {event_time} AS at FROM {table} WHERE {within} AND {free}"
            "{behind} ORDER BY {order} LIMIT {limit}) AS p"
            " JOIN {table} ON {key} = p.id ORDER BY p.at, p.id OFFSET 0) AS r"
        ).format(
            halves=_HALVES,
            outer=_aliases(names),
            key=rows.key,
            version=VERSION,
            hour=_hour(rows),
            print=rows.fingerprint,
            inner=_texts(names),
            event_time=rows.event_time,
            table=rows.table,
            within=rows.within(unit.tenant, unit.period.start, unit.period.end),
            free=self.free(),
            behind=sql.SQL(" AND {}").format(rows.after(after.event_time, after.key))
            if after
            else sql.SQL(""),
            order=rows.order,
            limit=sql.Literal(limit),
        )
        for key, at, version, hour, high, low, *values in _fetched(connection, query):
            moment = self._place(rows.stream.name, plan, hour)[1]
            found = Rows(
                table=self._scope.stream.table,
                of=key,
                unit=unit,
                keys=(key,),
                versions=(version,),
                hour=moment,
                proof=Bucket(1, high, low),
            )
            known = {rows.stream.key: (key,)}
            known |= {name: (value,) for name, value in zip(names, values, strict=True)}
            yield _Listed(Group([found]), found, known), at

    def _children(
        self,
        connection: PgConnection,
        plan: UnitPlan,
        part: Part,
        listed: Mapping[str, list[_Listed]],
    ) -> Iterator[_Listed]:
        this = part.dependent
        # Most installations have no rows in most of these tables: then one look is enough.
        if not listed.get(this.of) or self._is_empty(connection, this.table):
            return
        owners = _by_value(listed[this.of], this.of_column)
        if not owners:
            return
        names = self._followed(this.table)
        query = self._children_query(part, names, list(owners))
        for of, hour, keys, versions, high, low, *values in _fetched(connection, query):
            mine = owners[of]
            group = mine[0][0].group
            if len(mine) > 1 and any(above.group is not group for above, _ in mine):
                for above, _ in mine:
                    above.group.obstacle = f"a row of {this.table} belongs to several rows"
            unit, moment = self._placed(plan, part, group, hour)
            proof = Bucket(len(keys), int(high), int(low)) if unit is not None else EMPTY
            rows = Rows(this.table, of, unit, keys, versions, moment, proof)
            group.rows.append(rows)
            found = _Listed(group, rows, {this.key: keys, **dict(zip(names, values, strict=True))})
            if this.file_key is not None:
                for name in found.values[this.file_key]:
                    if name is not None:
                        group.objects.append(self._object(name, *mine[0], group))
            yield found

    def _children_query(
        self, part: Part, names: Sequence[str], values: Sequence[str]
    ) -> sql.Composable:
        this = part.dependent
        rows = self._rows[part.stream] if part.stream else None
        return sql.SQL(
            "SELECT o, h, array_agg(k), array_agg(v), {sums}{outer} FROM ("
            "SELECT {column}::text AS o, {hour} AS h, {key}::text AS k, {version} AS v,"
            " {print} AS f{inner}"
            " FROM unnest({values}) AS p(v) JOIN {table} AS w ON {column} = p.v OFFSET 0) AS r"
            " GROUP BY o, h"
        ).format(
            sums=_SUMS,
            outer=_arrays(names),
            column=col(this.column),
            hour=_hour(rows) if rows else sql.SQL("NULL::text"),
            key=col(this.key),
            version=VERSION,
            print=rows.fingerprint if rows else sql.SQL("NULL::text"),
            inner=_texts(names),
            values=array(values, self._tables.cast(this.table, this.column)),
            table=identifier(this.table),
        )

    def _is_empty(self, connection: PgConnection, table: str) -> bool:
        query = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(identifier(table))
        return not _fetched(connection, query)

    def _placed(
        self, plan: UnitPlan, part: Part, group: Group, hour: str | None
    ) -> tuple[Unit, datetime] | tuple[None, None]:
        """The unit and hour that rows are in; a group without one stays."""
        if part.stream is None:
            return None, None
        try:
            return self._place(part.stream, plan, hour or "")
        except ValueError:
            group.obstacle = f"a row of {part.table} belongs to no period"
            return None, None

    def _place(self, stream: str, plan: UnitPlan, hour: str) -> tuple[Unit, datetime]:
        """Unit and moment of an hour; shared: a unit is compared by identity first.

        :raises ValueError: no period has such an hour.
        """
        known = (stream, plan.unit.tenant, hour)
        if known not in self._hours:
            moment = datetime.fromisoformat(hour).replace(tzinfo=UTC)
            unit = Unit(stream, plan.unit.tenant, self._period_of(moment))
            self._hours[known] = self._units.setdefault(unit, unit), moment
        return self._hours[known]

    def _object(self, name: str, link: _Listed, number: int, group: Group) -> StoredObject:
        """An object that a row of a link's file names.

        :param number: which of the listed links it is.
        """
        for rows in self._rows.values():
            offload = rows.shape.offload
            if offload is not None and offload.link_table == link.rows.table:
                key = link.values[offload.link_row][number]
                column = link.values[offload.link_column][number] or ""
                table = rows.stream.table
                for found in group.rows:
                    if found.table == table and key is not None and key in found.keys:
                        return StoredObject(name, Member(table, key, found.unit), column)
                return StoredObject(name, None, column)
        return StoredObject(name, None, "")

    def _followed(self, table: str) -> list[str]:
        """Columns of a table that are needed to find other rows, or name objects."""
        names = [p.dependent.of_column for p in self._scope.parts if p.dependent.of == table]
        names += [
            p.dependent.file_key
            for p in self._scope.parts
            if p.table == table and p.dependent.file_key
        ]
        for rows in self._rows.values():
            offload = rows.shape.offload
            if offload is not None and offload.link_table == table:
                names += [offload.link_row, offload.link_column]
        return list(dict.fromkeys(names))


def _by_value(listed: Sequence[_Listed], column: str) -> dict[str, list[tuple[_Listed, int]]]:
    """Listed rows, and the number of each among those listed with it, by a column's value."""
    found: dict[str, list[tuple[_Listed, int]]] = {}
    for above in listed:
        for number, value in enumerate(above.values.get(column, ())):
            if value is not None:
                found.setdefault(value, []).append((above, number))
    return found


def _texts(names: Sequence[str]) -> sql.Composable:
    """What :func:`_aliases` and :func:`_arrays` name."""
    return sql.SQL("").join(
        sql.SQL(", {}::text AS {}").format(col(name), sql.Identifier(f"c{number}"))
        for number, name in enumerate(names)
    )


def _aliases(names: Sequence[str]) -> sql.Composable:
    return sql.SQL("".join(f", c{number}" for number in range(len(names))))


def _arrays(names: Sequence[str]) -> sql.Composable:
    return sql.SQL("".join(f", array_agg(c{number})" for number in range(len(names))))


def _ownerless(owner: Dependent) -> sql.Composable:
    return sql.SQL("NOT EXISTS (SELECT 1 FROM {of} AS o WHERE {theirs} = {ours})").format(
        of=identifier(owner.of),
        theirs=sql.Identifier("o", owner.of_column),
        ours=col(owner.column),
    )


def _hour(rows: RowSql) -> sql.Composable:
    """The hour of an event time as text, NULL where no period has such an hour."""
    return sql.SQL(
        "CASE WHEN {at} >= {first} AND {at} < {end}"
        " THEN to_char({at}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:00') END"
    ).format(
        at=rows.event_time,
        first=rows.moment("0001-01-01T00:00:00+00:00"),
        end=rows.moment("9999-12-01T00:00:00+00:00"),
    )


def _fetched(connection: PgConnection, query: sql.Composable) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
