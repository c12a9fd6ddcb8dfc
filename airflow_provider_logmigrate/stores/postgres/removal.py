"""Deletes groups within a transaction, and reads what the deleted rows are while they go.

A delete returns each row as the very version that it takes, so what is added up here are exactly
the rows that are gone when the transaction commits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg2 import sql

from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_ports import (
    Group,
    Removal,
    Rows,
    RowsChanged,
    StoredObject,
)
from airflow_provider_logmigrate.core.purge_scope import Part, Scope
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.stores.postgres import placing
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.dependents_sql import SUMS, among, any_row, free
from airflow_provider_logmigrate.stores.postgres.placing import Places
from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col


@dataclass(slots=True)
class Deletion:
    """Deletes some groups of a unit.

    :param rows: SQL of the stream whose documents prove the rows, by stream name.
    :ivar gone: rows by table and hour.
    :ivar kept: rows that no document holds, as JSON, by table.
    """

    scope: Scope
    plan: UnitPlan
    groups: Sequence[Group]
    rows: Mapping[str, RowSql]
    tables: Tables
    places: Places
    gone: list[Rows] = field(default_factory=list)
    kept: dict[str, list[str]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _keys: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._keys[self.scope.stream.table] = [group.key for group in self.groups]
        for group in self.groups:
            self._counts.update(group.counts)
            for table, keys in group.keys.items():
                self._keys.setdefault(table, []).extend(keys)

    def carry_out(self, cursor: Any) -> None:
        """Delete; what hangs on a row goes before it.

        :raises RowsChanged: other rows went than were listed.
        """
        files: list[str] = []
        for part in reversed(self.scope.parts):
            condition = self._condition(cursor, part)
            if condition is None:
                self._as_listed(part.table, 0)
                continue
            this = part.dependent
            rows = self.rows[part.stream] if part.stream else None
            files += self._delete(cursor, this.table, this.key, condition, rows, this.file_key)
        if sorted(files) != sorted(item.key for item in self._objects()):
            raise RowsChanged("rows name other objects than those that were listed")
        root = self.rows[self.scope.stream.name]
        # Still settled and still on its own: what it settles with may have changed.
        condition = sql.SQL("{} AND {}").format(
            among(root.key, self._keys[self.scope.stream.table], sql.SQL(root.key_type)),
            free(self.scope, root),
        )
        self._delete(cursor, self.scope.stream.table, root.stream.key, condition, root)

    def removal(self, transaction: int) -> Removal:
        """What is gone, for the ledger."""
        keys: dict[str, list[str]] = {}
        sums: dict[str, Bucket] = {}
        hours: dict[Unit, dict[datetime, Bucket]] = {}
        for rows in self.gone:
            keys.setdefault(rows.table, []).extend(rows.keys)
            if rows.unit is not None and rows.hour is not None:
                sums[rows.table] = sums.get(rows.table, EMPTY) + rows.proof
                mine = hours.setdefault(rows.unit, {})
                mine[rows.hour] = mine.get(rows.hour, EMPTY) + rows.proof
        return Removal(
            unit=self.plan.key,
            transaction=transaction,
            keys=keys,
            sums=sums,
            hours={unit.key: found for unit, found in hours.items()},
            kept=self.kept,
            objects=self._objects(),
        )

    def _objects(self) -> list[StoredObject]:
        return [item for group in self.groups for item in group.objects]

    def _condition(self, cursor: Any, part: Part) -> sql.Composable | None:
        """Which rows of a dependent table go; ``None``: none.

        By what they belong to where an index serves: a row that appeared meanwhile is then met,
        and is one too many. Else by key.
        """
        this = part.dependent
        owners = self._keys.get(this.of, []) if self.tables.names_parent(self.scope, part) else []
        theirs = among(col(this.column), owners, self.tables.cast(this.table, this.column))
        if self.tables.by_parent(self.scope, part):
            if len(owners) < self._counts[this.of]:
                # Nothing hung on them when they were listed, so their keys weren't.
                cursor.execute(any_row(this.table))
                if cursor.fetchone() is not None:
                    raise RowsChanged(f"a row of {this.table} appeared")
            return theirs if owners else None
        if not (keys := self._keys.get(this.table)):
            return None
        these = among(col(this.key), keys, self.tables.cast(this.table, this.key))
        return sql.SQL("{} AND {}").format(these, theirs) if owners else these

    def _as_listed(self, table: str, count: int) -> None:
        if count != self._counts[table]:
            raise RowsChanged(f"{count} rows of {table} aren't those that were listed")

    def _delete(
        self,
        cursor: Any,
        table: str,
        key: str,
        condition: sql.Composable,
        rows: RowSql | None,
        file_key: str | None = None,
    ) -> list[str]:
        """Delete rows; what they name in ``file_key``.

        :param rows: if documents prove them; else they are kept as JSON.
        """
        query = sql.SQL(
            "WITH gone AS (DELETE FROM {table} AS w WHERE {condition}"
            " RETURNING {hour} AS h, {key}::text AS k, {print} AS f, {whole} AS j, {file} AS o)"
            " SELECT h, count(*), {sums}, array_agg(k), {all} FROM gone GROUP BY h"
        ).format(
            table=identifier(table),
            condition=condition,
            hour=placing.hour(rows) if rows else sql.SQL("NULL::timestamptz"),
            key=col(key),
            print=rows.fingerprint if rows else sql.SQL("NULL"),
            whole=sql.SQL("NULL" if rows else "row_to_json(w)::text"),
            file=sql.SQL("{}::text").format(col(file_key)) if file_key else sql.SQL("NULL"),
            sums=SUMS if rows else sql.SQL("NULL, NULL"),
            all=sql.SQL("NULL, NULL" if rows and not file_key else "array_agg(j), array_agg(o)"),
        )
        cursor.execute(query)
        total, files = 0, []
        for hour, count, high, low, keys, texts, names in cursor:
            total += count
            if rows is None:
                self.kept.setdefault(table, []).extend(texts)
                self.gone.append(Rows(table, None, None, keys))
            elif hour is None:
                raise RowsChanged(f"a row of {table} belongs to no period")
            else:
                unit, moment = self.places.place(rows.stream.name, self.plan.unit.tenant, hour)
                proof = Bucket(count, int(high), int(low))
                self.gone.append(Rows(table, unit, moment, keys, proof))
            files += [name for name in names or () if name is not None]
        self._as_listed(table, total)
        return files
