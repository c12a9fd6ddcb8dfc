"""What a purge asks of the source, of the target and of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Protocol

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_scope import Scope
from airflow_provider_logmigrate.core.unit import Unit

Print = tuple[int, int]
"""Both halves of a row's fingerprint."""


@dataclass(frozen=True, slots=True)
class Member:
    """One row that goes.

    :param unit: whose index holds its document; ``None``: the row is kept in the ledger.
    """

    table: str
    key: str
    unit: Unit | None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of the object storage that goes with its row.

    :param key: its name in the storage.
    :param row: key of the row whose ``column`` it holds, ``None`` if there is no such row.
    """

    key: str
    row: Member | None
    column: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table and hour.

    :param unit: whose index holds their documents; ``None``: they are kept in the ledger.
    :param hour: of their event time, ``None`` if they are kept in the ledger.
    :param proof: count and fingerprint sums.
    """

    table: str
    unit: Unit | None
    hour: datetime | None
    keys: Sequence[str]
    proof: Bucket = EMPTY


_NONE: Mapping[str, Sequence[str]] = MappingProxyType({})


@dataclass(slots=True)
class Group:
    """A unit's row and everything that goes with it, or stays with it.

    There are many at a time, so a group that was only listed is little more than a few numbers.

    :param key: of the row that the others hang on.
    :param counts: rows by table, the row itself included.
    :param keys: by table: of rows that other rows are found by, and of those that aren't found by
        what they hang on. After a look: of all.
    :param rows: what they are; only after a look.
    :param objects: that the rows name; what they belong to is known after a look.
    :param obstacle: why it has to stay, empty if nothing is known yet.
    """

    key: str
    counts: dict[str, int]
    keys: Mapping[str, Sequence[str]] = field(default_factory=lambda: _NONE)
    rows: tuple[Rows, ...] = ()
    objects: tuple[StoredObject, ...] = ()
    obstacle: str = ""

    @property
    def size(self) -> int:
        """Rows of all tables."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class GroupWindow:
    """Some groups of a unit, in the order of their rows.

    :param after: where the next window begins, ``None`` at the end.
    """

    groups: Sequence[Group]
    after: Cursor | None


@dataclass(frozen=True, slots=True)
class Removal:
    """What one transaction has deleted, before it is committed.

    :param transaction: the source's number of the transaction, by which its fate is known later.
    :param keys: by table.
    :param sums: by table, of those that a stream's documents prove.
    :param hours: the same by unit key and hour.
    :param kept: rows that no document holds, as JSON, by table.
    :param objects: objects that go once it is committed.
    """

    unit: str
    transaction: int
    keys: Mapping[str, Sequence[str]]
    sums: Mapping[str, Bucket]
    hours: Mapping[str, Mapping[datetime, Bucket]]
    kept: Mapping[str, Sequence[str]]
    objects: Sequence[StoredObject] = ()

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(len(keys) for keys in self.keys.values())


@dataclass(frozen=True, slots=True)
class Batch:
    """A removal as the ledger keeps it.

    :param plan: hash of the purge plan it was part of.
    """

    id: int
    plan: str
    removal: Removal


class Fate(Enum):
    """What became of a transaction whose end nobody saw."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    RUNNING = "running"


class RowsChanged(Exception):
    """Rows aren't those that were listed, or not those that documents prove; none was deleted."""


class PurgeSource(Protocol):
    """The source, as a purge sees it. Called by several threads."""

    def groups(
        self, scope: Scope, plan: UnitPlan, *, after: Cursor | None, limit: int
    ) -> GroupWindow:
        """The next settled rows of a unit that go by themselves, and how much hangs on each."""

    def look(self, scope: Scope, plan: UnitPlan, groups: Sequence[Group]) -> list[Group]:
        """Listed groups as they are now, row by row. Who changed has an obstacle that says how."""

    def delete(
        self,
        scope: Scope,
        plan: UnitPlan,
        groups: Sequence[Group],
        *,
        before_commit: Callable[[Removal, Sequence[Rows]], None],
    ) -> Removal:
        """Delete whole groups in one transaction, which also reads what the rows are.

        :param before_commit: told what is deleted; whatever it raises undoes everything.
        :raises RowsChanged: there are other rows than those that were listed; nothing was deleted.
        """

    def fate(self, scope: Scope, removal: Removal) -> Fate:
        """What became of a removal's transaction."""

    def left_behind(self, scope: Scope, roots: Sequence[str]) -> Mapping[str, int]:
        """Rows that appeared for rows that are gone, by table: written during the purge."""


class PurgeTarget(Protocol):
    """The target, as a purge sees it."""

    def proof(self, plan: UnitPlan, keys: Sequence[str]) -> Bucket:
        """How many of the unit's documents have these ids, and their fingerprint sums."""

    def prints(self, plan: UnitPlan, keys: Sequence[str]) -> Mapping[str, Print]:
        """Fingerprints of the unit's documents by key; those that aren't there are left out."""

    def holds(self, plan: UnitPlan, item: StoredObject, content: bytes) -> bool:
        """True if the row's document holds this content, whole."""


class ObjectStore(Protocol):
    """The object storage, as a purge and a restore see it."""

    def read(self, key: str, *, limit: int) -> bytes | None:
        """At most ``limit`` bytes of an object, ``None`` if it doesn't exist."""

    def has(self, key: str) -> bool:
        """True if the object exists; the storage may be empty."""

    def delete(self, key: str) -> None:
        """Delete an object; one that isn't there is fine."""

    def write(self, key: str, content: bytes) -> None:
        """Create or replace an object."""


class DeletionLog(Protocol):
    """The ledger, for one attempt at one unit. Every call may raise ``Fenced``."""

    def open(self) -> Sequence[Batch]:
        """Batches whose end nobody saw."""

    def intend(self, removal: Removal) -> int:
        """Keep what is about to be committed; durable on return. Called inside the source's
        transaction, so everything that forbids the deletion is raised here.
        """

    def settle(self, batch: int) -> None:
        """The batch is committed. Idempotent."""

    def drop(self, batch: int) -> None:
        """The batch never came to be. Idempotent."""
