"""Lists a unit's rows with everything that hangs on them, one statement per table.

Also without an index on the dependents' foreign key that is one scan per table and window, not one
per batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_ports import Group, GroupWindow, Member, StoredObject
from airflow_provider_logmigrate.core.purge_scope import Part, Scope
from airflow_provider_logmigrate.core.stream import Dependent
from airflow_provider_logmigrate.core.unit import UTC, Period, Unit
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col


@dataclass(frozen=True, slots=True)
class _Row:
    """A listed row.

    :param values: what other tables' rows are found by, and what names an object.
    """

    group: Group
    member: Member
    values: Mapping[str, str | None]


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
        self._units: dict[tuple[str, str, str], Unit] = {}

    def window(
        self, connection: PgConnection, plan: UnitPlan, *, after: Cursor | None, limit: int
    ) -> GroupWindow:
        """See :meth:`PurgeSource.groups`."""
        listed: dict[str, list[_Row]] = {self._scope.stream.table: []}
        groups: list[Group] = []
        last: Cursor | None = None
        for key, at, values in self._roots(connection, plan, after, limit):
            member = Member(self._scope.stream.table, key, plan.unit)
            group = Group([member])
            groups.append(group)
            listed[member.table].append(_Row(group, member, values))
            last = Cursor(at, key)
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
    ) -> Iterator[tuple[str, str, Mapping[str, str | None]]]:
        rows, names = self._root, self._followed(self._scope.stream.table)
        unit = plan.unit
        query = sql.SQL(
            "SELECT {key}::text, {at}::timestamptz::text{more} FROM {table} WHERE {within}"
            " AND {free}{behind} ORDER BY {order} LIMIT {limit}"
        ).format(
            key=rows.key,
            at=rows.event_time,
            more=_texts(names),
            table=rows.table,
            within=rows.within(unit.tenant, unit.period.start, unit.period.end),
            free=self.free(),
            behind=sql.SQL(" AND {}").format(rows.after(after.event_time, after.key))
            if after
            else sql.SQL(""),
            order=rows.order,
            limit=sql.Literal(limit),
        )
        with connection.cursor() as cursor:
            cursor.execute(query)
            for key, at, *values in cursor:
                yield key, at, dict(zip(names, values, strict=True)) | {rows.stream.key: key}

    def _children(
        self,
        connection: PgConnection,
        plan: UnitPlan,
        part: Part,
        listed: Mapping[str, list[_Row]],
    ) -> Iterator[_Row]:
        this = part.dependent
        parents: dict[str, list[_Row]] = {}
        for row in listed.get(this.of, ()):
            value = row.values.get(this.of_column)
            if value is not None:
                parents.setdefault(value, []).append(row)
        if not parents:
            return
        rows = self._rows[part.stream] if part.stream else None
        names = self._followed(this.table)
        query = sql.SQL(
            "SELECT {key}::text, {column}::text, {at}{more}"
            " FROM unnest({values}::{kind}[]) AS p(v) JOIN {table} AS w ON {column} = p.v"
        ).format(
            key=col(this.key),
            column=col(this.column),
            at=_day(rows) if rows else sql.NULL,
            more=_texts(names),
            values=sql.Literal(list(parents)),
            kind=self._tables.cast(this.table, this.column),
            table=identifier(this.table),
        )
        with connection.cursor() as cursor:
            cursor.execute(query)
            for key, value, at, *more in cursor:
                owners = parents[value]
                group = owners[0].group
                if len(owners) > 1 and any(owner.group is not group for owner in owners):
                    for owner in owners:
                        owner.group.obstacle = f"a row of {this.table} belongs to several rows"
                unit = self._unit(plan, part, at, group)
                member = Member(this.table, key, unit)
                group.members.append(member)
                values: dict[str, str | None] = {this.key: key}
                if more:
                    values |= zip(names, more, strict=True)
                if this.file_key is not None and (name := values[this.file_key]) is not None:
                    group.objects.append(self._object(name, owners[0], group))
                yield _Row(group, member, values)

    def _unit(self, plan: UnitPlan, part: Part, at: str | None, group: Group) -> Unit | None:
        if part.stream is None:
            return None
        known = (part.stream, plan.unit.tenant, at or "")
        if known not in self._units:
            try:
                moment = datetime.fromisoformat(known[2]).replace(tzinfo=UTC)
                unit = Unit(part.stream, plan.unit.tenant, self._period_of(moment))
            except ValueError:
                group.obstacle = f"a row of {part.table} belongs to no period"
                return None
            self._units[known] = unit  # shared: a unit is compared by identity first
        return self._units[known]

    def _object(self, name: str, link: _Row, group: Group) -> StoredObject:
        for rows in self._rows.values():
            offload = rows.shape.offload
            if offload is not None and offload.link_table == link.member.table:
                key = link.values.get(offload.link_row)
                column = link.values.get(offload.link_column) or ""
                table = rows.stream.table
                found = [m for m in group.members if m.table == table and m.key == key]
                return StoredObject(name, found[0] if found else None, column)
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


def _texts(names: Sequence[str]) -> sql.Composable:
    return sql.SQL("").join(sql.SQL(", {}::text").format(col(name)) for name in names)


def _ownerless(owner: Dependent) -> sql.Composable:
    return sql.SQL("NOT EXISTS (SELECT 1 FROM {of} AS o WHERE {theirs} = {ours})").format(
        of=identifier(owner.of),
        theirs=sql.Identifier("o", owner.of_column),
        ours=col(owner.column),
    )


def _day(rows: RowSql) -> sql.Composable:
    """The day of an event time as text, NULL where no period has such a day."""
    return sql.SQL(
        "CASE WHEN {at} >= {first} AND {at} < {end}"
        " THEN to_char({at}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD') END"
    ).format(
        at=rows.event_time,
        first=rows.moment("0001-01-01T00:00:00+00:00"),
        end=rows.moment("9999-12-01T00:00:00+00:00"),
    )
