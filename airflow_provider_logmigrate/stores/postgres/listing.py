"""The rows of one deleting transaction as they were read, and how others are told from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.purge_ports import Group, RowsChanged
from airflow_provider_logmigrate.core.unit import Unit


class Listing:
    """Adds up what groups hold, by table.

    :ivar keys: of all rows.
    :ivar sums: of the rows that documents prove.
    :ivar hours: the same by unit key and hour.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self._root = groups[0].rows[0].table
        self.keys: dict[str, list[str]] = {}
        self.sums: dict[str, Bucket] = {}
        self._versions: dict[str, dict[str, dict[str, str]]] = {}
        self._groups = groups
        hours: dict[int, tuple[Unit, dict[datetime, Bucket]]] = {}
        for group in groups:
            for rows in group.rows:
                self.keys.setdefault(rows.table, []).extend(rows.keys)
                versions = self._versions.setdefault(rows.table, {}).setdefault(rows.of, {})
                versions.update(zip(rows.keys, rows.versions, strict=True))
                if rows.unit is not None and rows.hour is not None:
                    self.sums[rows.table] = self.sums.get(rows.table, EMPTY) + rows.proof
                    _, mine = hours.setdefault(id(rows.unit), (rows.unit, {}))
                    mine[rows.hour] = mine.get(rows.hour, EMPTY) + rows.proof
        self.hours: dict[str, dict[datetime, Bucket]] = {}
        for unit, found in hours.values():
            known = self.hours.setdefault(unit.key, {})
            for hour, bucket in found.items():
                known[hour] = known.get(hour, EMPTY) + bucket

    def compare(self, table: str, found: Mapping[str, Mapping[str, str]]) -> None:
        """Compare deleted rows with the listed ones.

        :param found: keys and versions of a table's rows, by what they were found by.
        :raises RowsChanged: they aren't the same.
        """
        listed = self._versions.get(table, {})
        if found == listed:
            return
        changed = {}
        for of in found.keys() | listed.keys():
            have, want = found.get(of, {}), listed.get(of, {})
            if have != want:
                changed[self._group(table, of)] = (
                    f"a row of {table} {self._what(table, have, want)}"
                )
        raise RowsChanged(changed)

    def _group(self, table: str, of: str) -> str:
        """Key of the group that rows belong to, or, if they are new, the row that they name."""
        for group in self._groups:
            for rows in group.rows:
                if of in rows.keys or (rows.table == table and rows.of == of):
                    return group.key
        return of

    def _what(self, table: str, have: Mapping[str, str], want: Mapping[str, str]) -> str:
        if want.keys() - have.keys():
            return "is gone or unsettled by now" if table == self._root else "is gone already"
        if have.keys() - want.keys():
            return "appeared during the purge"
        return "changed since it was proven"
