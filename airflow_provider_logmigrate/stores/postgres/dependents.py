"""Lists a unit's rows with everything that hangs on them, one statement per table.

A listing counts: of most tables it takes no more, for who is deleted by what it hangs on needn't be
named. A look, which follows where something isn't as it should be, reads every row's fingerprint.
Both walk the tables in the same way. Also without an index on the dependents' foreign key a listing
is one scan per table and window, not one per batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_ports import (
    Group,
    GroupWindow,
    Member,
    Rows,
    StoredObject,
)
from airflow_provider_logmigrate.core.purge_scope import Part, Scope
from airflow_provider_logmigrate.core.stream import Dependent, StreamShape
from airflow_provider_logmigrate.stores.postgres import dependents_sql as texts
from airflow_provider_logmigrate.stores.postgres.placing import Places
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql


@dataclass(frozen=True, slots=True)
class Lister:
    """Lists groups of one scope.

    :param rows: of the copied streams, by name.
    """

    scope: Scope
    rows: Mapping[str, RowSql]
    tables: Tables
    places: Places

    def window(
        self, connection: PgConnection, plan: UnitPlan, *, after: Cursor | None, limit: int
    ) -> GroupWindow:
        """See :meth:`PurgeSource.groups`."""
        walk = _Walk(self, connection, plan)
        names = walk.followed(self.scope.stream.table)
        root = self.rows[self.scope.stream.name]
        query = texts.next_roots(self.scope, root, plan, names, after=after, limit=limit)
        groups = []
        at = ""
        for key, at, *values in walk.fetched(query):  # noqa: B007 - the last one counts
            groups.append(walk.begin(key, names, values))
        walk.hang()
        return GroupWindow(groups, Cursor(at, groups[-1].key) if len(groups) == limit else None)

    def look(
        self, connection: PgConnection, plan: UnitPlan, groups: Sequence[Group]
    ) -> list[Group]:
        """See :meth:`PurgeSource.look`."""
        walk = _Walk(self, connection, plan, looked_at=groups)
        names = walk.followed(self.scope.stream.table)
        root = self.rows[self.scope.stream.name]
        query = texts.roots(self.scope, root, [group.key for group in groups], names)
        now = {}
        for key, hour, high, low, *values in walk.fetched(query):
            now[key] = walk.begin(key, names, values)
            walk.add(now[key], self.scope.stream.table, root, hour, [key], high, low)
        walk.hang()
        return [self._compared(group, now.get(group.key)) for group in groups]

    def _compared(self, listed: Group, now: Group | None) -> Group:
        if now is None:
            why = f"a row of {self.scope.stream.table} is gone or unsettled by now"
            return Group(listed.key, {}, obstacle=why)
        for table in self.scope.tables:
            more = now.counts.get(table, 0) - listed.counts.get(table, 0)
            if more and not now.obstacle:
                what = "appeared during the purge" if more > 0 else "is gone already"
                now.obstacle = f"a row of {table} {what}"
        return now


class _Walk:
    """From rows to what hangs on them, table by table.

    :param looked_at: listed groups of which everything is to be known.
    """

    def __init__(
        self,
        lister: Lister,
        connection: PgConnection,
        plan: UnitPlan,
        *,
        looked_at: Sequence[Group] | None = None,
    ) -> None:
        self._rows, self._tables, self._places = lister.rows, lister.tables, lister.places
        self._scope, self._connection, self._plan = lister.scope, connection, plan
        self._look = looked_at is not None
        self._known = looked_at or ()
        # Most installations use few of these tables.
        self._filled = [
            part
            for part in self._scope.parts
            if any(True for _ in self.fetched(texts.any_row(part.table)))
        ]
        # By table and column: whose row has a value, and who else's.
        self._owners: dict[tuple[str, str], dict[str, Group]] = {
            (part.dependent.of, part.dependent.of_column): {} for part in self._filled
        }
        self._others: dict[tuple[str, str, str], list[Group]] = {}
        self._links: dict[tuple[str, str, str | None], tuple[str, str | None, str]] = {}

    def fetched(self, query: sql.Composable) -> Iterator[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            yield from cursor

    def followed(self, table: str) -> list[str]:
        """Columns of a table that are needed to find other rows, or name objects."""
        names = [column for of, column in self._owners if of == table]
        names += [
            part.dependent.file_key
            for part in self._scope.parts
            if part.table == table and part.dependent.file_key
        ]
        if self._look and (linked := self._linked(table)) and linked.offload is not None:
            names += [linked.offload.link_row, linked.offload.link_column]
        return list(dict.fromkeys(names))

    def begin(self, key: str, names: Sequence[str], values: Sequence[str | None]) -> Group:
        """A group of which only the row itself is known."""
        group = Group(key, {self._scope.stream.table: 1})
        self._own(group, self._scope.stream.table, names, [(value,) for value in values])
        return group

    def hang(self) -> None:
        """Find what hangs on the groups' rows, and on that."""
        for part in self._filled:
            this = part.dependent
            owners = self._owners[this.of, this.of_column]
            if not owners:
                continue
            names = self.followed(this.table)
            rows = self._rows[part.stream] if part.stream and self._look else None
            for of, hour, count, keys, high, low, *values in self.fetched(
                self._query(part, names, list(owners), rows)
            ):
                if (group := owners.get(of)) is None:
                    continue  # it hangs on another one by now
                if others := self._others.get((this.of, this.of_column, of)):
                    for one in (group, *others):
                        one.obstacle = f"a row of {this.table} belongs to several rows"
                group.counts[this.table] = group.counts.get(this.table, 0) + count
                if keys is None:
                    continue
                group.keys = {**group.keys, this.table: [*group.keys.get(this.table, ()), *keys]}
                if self._look:
                    self.add(group, this.table, rows, hour, keys, high, low)
                self._own(group, this.table, names, values)
                if this.file_key is not None:
                    for name in values[names.index(this.file_key)]:
                        if name is not None:
                            group.objects += (self._object(name, group, this, of),)

    def _query(
        self, part: Part, names: Sequence[str], owners: Sequence[str], rows: RowSql | None
    ) -> sql.Composable:
        table, direct = part.table, self._tables.by_parent(self._scope, part)
        # By key where a search by owner takes a scan.
        keys = [k for group in self._known if not direct for k in group.keys.get(table, ())]
        named = self._look or bool(names) or not direct
        return texts.children(
            part, self._tables, names, owners=owners, keys=keys, named=named, rows=rows
        )

    def _own(
        self, group: Group, table: str, names: Sequence[str], values: Sequence[Sequence[Any]]
    ) -> None:
        """Note what other rows find a group's rows by.

        :param values: of each column, by row.
        """
        for name, column in zip(names, values, strict=True):
            if (owners := self._owners.get((table, name))) is None:
                continue
            for value in column:
                if value is not None and owners.setdefault(value, group) is not group:
                    self._others.setdefault((table, name, value), []).append(group)
        if self._look and (linked := self._linked(table)):
            self._note_links(linked, table, dict(zip(names, values, strict=True)))

    def _note_links(
        self, linked: StreamShape, table: str, values: Mapping[str, Sequence[Any]]
    ) -> None:
        """Note which row's which column the content is that hangs on rows of a link's table."""
        assert linked.offload is not None
        rows, columns = values[linked.offload.link_row], values[linked.offload.link_column]
        for name, column in values.items():
            for value, key, content_of in zip(column, rows, columns, strict=True):
                link = (linked.stream.table, key, content_of or "")
                self._links.setdefault((table, name, value), link)

    def add(
        self,
        group: Group,
        table: str,
        rows: RowSql | None,
        hour: Any,
        keys: Sequence[str],
        high: Any,
        low: Any,
    ) -> None:
        """Note what rows are; a group with rows in no period stays."""
        if rows is None:
            group.rows += (Rows(table, None, None, keys),)
        elif hour is None:
            group.obstacle = f"a row of {table} belongs to no period"
        else:
            unit, moment = self._places.place(rows.stream.name, self._plan.unit.tenant, hour)
            proof = Bucket(len(keys), int(high), int(low))
            group.rows += (Rows(table, unit, moment, keys, proof),)

    def _linked(self, table: str) -> StreamShape | None:
        """Whose rows' offloaded content rows of a table link, if they do."""
        for rows in self._rows.values():
            if rows.shape.offload is not None and rows.shape.offload.link_table == table:
                return rows.shape
        return None

    def _object(self, name: str, group: Group, this: Dependent, of: str) -> StoredObject:
        """An object that a row of ``this`` names, which hangs on a link."""
        if (link := self._links.get((this.of, this.of_column, of))) is None:
            return StoredObject(name, None, "")
        table, key, column = link
        for found in group.rows:
            if found.table == table and key is not None and key in found.keys:
                return StoredObject(name, Member(table, key, found.unit), column)
        return StoredObject(name, None, column)
