"""What was generated, counted while generating: the oracle tests compare a migration with.

The counts come from the generator's own knowledge of each run, not from a query, so they do not
share a mistake with the SQL they are compared with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from devstack.sampledata.generate import Bundle, generate
from devstack.sampledata.profiles import Profile
from devstack.sampledata.schema import COLUMNS, STREAM_TABLES, DifySchema

UnitKey = tuple[str, str, str]
"""Table, tenant id, month as ``YYYY-MM`` (of the row's own ``created_at``)."""


@dataclass(frozen=True, slots=True)
class UnitCount:
    """Rows of a table, tenant and month.

    Settled rows belong to a run that has ended (a single step: that has ended itself; an offload
    row without a node execution is settled). The rows of an open run are unsettled in all tables.
    """

    settled: int
    unsettled: int

    @property
    def rows(self) -> int:
        """All rows of the unit."""
        return self.settled + self.unsettled


@dataclass(frozen=True, slots=True)
class HostileRows:
    """Where a case of ``HOSTILE_VALUES`` went.

    :param tenant_id: owner of both rows
    :param month: month of both rows as ``YYYY-MM``
    :param run_id: the row of workflow_runs
    :param node_execution_id: the row of workflow_node_executions
    """

    tenant_id: str
    month: str
    run_id: str
    node_execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a profile contains.

    :param rows: rows by table, all tables
    :param units: counts by table, tenant and month, of the four stream tables
    :param hostile: where each hostile case went
    :param files: keys of the files in the object storage
    :param missing_files: keys that upload_files names but that were not written
    """

    rows: Mapping[str, int]
    units: Mapping[UnitKey, UnitCount]
    hostile: Mapping[str, HostileRows]
    files: tuple[str, ...]
    missing_files: tuple[str, ...]

    @property
    def stream_rows(self) -> int:
        """Rows over the four stream tables."""
        return self.settled + self.unsettled

    @property
    def settled(self) -> int:
        """Rows over the four stream tables that a migration copies."""
        return sum(unit.settled for unit in self.units.values())

    @property
    def unsettled(self) -> int:
        """Rows over the four stream tables that belong to open runs."""
        return sum(unit.unsettled for unit in self.units.values())


class Counting:
    """Counts bundles as they pass."""

    def __init__(self, schema: DifySchema) -> None:
        self._created_at = {
            table: COLUMNS[schema][table].index("created_at")
            for table in STREAM_TABLES
            if table in COLUMNS[schema]
        }
        self._rows: Counter[str] = Counter(dict.fromkeys(COLUMNS[schema], 0))
        self._units: dict[bool, Counter[UnitKey]] = {True: Counter(), False: Counter()}
        self._hostile: dict[str, HostileRows] = {}
        self._files: list[str] = []
        self._missing: list[str] = []

    def add(self, bundle: Bundle) -> None:
        """Count a bundle."""
        units = self._units[bundle.settled]
        for table, rows in bundle.rows.items():
            self._rows[table] += len(rows)
            place = self._created_at.get(table)
            if place is not None:
                for row in rows:
                    units[table, bundle.tenant_id, str(row[place])[:7]] += 1
        for file in bundle.files:
            (self._files if file.content is not None else self._missing).append(file.key)
        if bundle.hostile is not None:
            run = bundle.rows["workflow_runs"][0]
            self._hostile[bundle.hostile] = HostileRows(
                tenant_id=bundle.tenant_id,
                month=str(run[self._created_at["workflow_runs"]])[:7],
                run_id=str(run[0]),
                node_execution_id=str(bundle.rows["workflow_node_executions"][1][0]),
            )

    def counts(self) -> Counts:
        """Everything counted so far."""
        settled, unsettled = self._units[True], self._units[False]
        return Counts(
            rows=MappingProxyType(dict(self._rows)),
            units=MappingProxyType(
                {
                    key: UnitCount(settled[key], unsettled[key])
                    for key in sorted({*settled, *unsettled})
                }
            ),
            hostile=MappingProxyType(self._hostile),
            files=tuple(self._files),
            missing_files=tuple(self._missing),
        )


def count(bundles: Iterable[Bundle], schema: DifySchema) -> Counts:
    """The counts over all bundles."""
    counting = Counting(schema)
    for bundle in bundles:
        counting.add(bundle)
    return counting.counts()


def expected(profile: Profile, schema: DifySchema) -> Counts:
    """What loading this profile will put into a database, without a database."""
    return count(generate(profile, schema), schema)
