"""Bringing purged rows back: batch by batch as they left, from their documents and the ledger.

Two batches at a time: while one waits for its documents or its proof, the server takes in the
other's rows. Never more than two: it is a production database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import RestoreFailed
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge_ports import Batch, ObjectStore, Removal, StoredObject
from airflow_provider_logmigrate.core.purge_scope import Scope
from airflow_provider_logmigrate.core.together import side_by_side
from airflow_provider_logmigrate.core.unit import Unit

AT_ONCE = 2
"""Batches under way at a time."""

FEWEST_DOCUMENTS, MOST_DOCUMENTS = 20, 2_000
"""Documents fetched and inserted at once..."""

PAGE_BYTES = 4 << 20
"""...aiming at this many bytes."""

Documents = Callable[[str, Sequence[str]], Iterator[Sequence[bytes]]]
"""(table, keys) -> documents of all these keys, page by page."""


class RestoreSource(Protocol):
    """The source, as a restore sees it."""

    def restore(self, scope: Scope, removal: Removal, *, documents: Documents) -> int:
        """Insert a batch's rows in one transaction; how many weren't there. Thread-safe.

        Rows that are there already stay as they are.

        :raises RestoreFailed: the rows then aren't those that were deleted; nothing was inserted.
        """


class RestoreTarget(Protocol):
    """The target, as a restore sees it."""

    def documents(self, plan: UnitPlan, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Documents by key as they were written; those that aren't there are left out."""

    def content(self, plan: UnitPlan, item: StoredObject) -> bytes | None:
        """What a row's document holds of an object."""


@dataclass(slots=True)
class RestoreOutcome:
    """What a restore of a unit did.

    :param rows: that were inserted; those that were there already are left out.
    """

    unit: str
    rows: int = 0
    batches: int = 0
    objects: int = 0


def restore_unit(
    unit: str,
    batches: Iterable[Batch],
    *,
    scope: Scope,
    source: RestoreSource,
    target: RestoreTarget,
    objects: ObjectStore | None,
    plans: Callable[[Batch], Mapping[Unit, UnitPlan]],
    restored: Callable[[Batch], None],
    stop: Stop,
) -> RestoreOutcome:
    """Bring a unit's batches back, newest first.

    First the offloaded objects, then the rows in one transaction, which is committed only if the
    rows have the fingerprints they left with; then the ledger takes note. Idempotent: rows that are
    back already are met again unchanged, so a kill in between costs nothing but time.

    :param plans: the units whose indices hold a batch's documents; called by this thread alone.
    :param restored: takes note that a batch is back; likewise.
    :raises RestoreFailed: documents are missing, or other rows have taken the keys.
    """

    def bring(known: tuple[Batch, Mapping[Unit, UnitPlan]]) -> tuple[Batch, int, int]:
        batch, units = known
        stop.check(unit)
        written = sum(_bring_back(o, units, target, objects) for o in batch.removal.objects)
        finder = _Finder(batch.removal, scope, units, target)
        rows = source.restore(scope, batch.removal, documents=finder.documents)
        return batch, rows, written

    outcome = RestoreOutcome(unit)
    known = ((batch, plans(batch)) for batch in batches)
    for batch, rows, written in side_by_side(bring, known, most=AT_ONCE):
        restored(batch)
        outcome.rows += rows
        outcome.objects += written
        outcome.batches += 1
    return outcome


def _bring_back(
    item: StoredObject,
    units: Mapping[Unit, UnitPlan],
    target: RestoreTarget,
    objects: ObjectStore | None,
) -> int:
    if item.row is None or item.row.unit is None:
        return 0
    content = target.content(units[item.row.unit], item)
    if content is None:
        return 0  # it was missing before the purge as well
    if objects is None:
        raise RestoreFailed(
            f"object {item.key} can't be written back: the migration has no object storage",
            where=item.row.unit.key,
            next_step="give the migration its `offload` block again",
        )
    if objects.has(item.key):
        return 0
    objects.write(item.key, content)
    return 1


class _Finder:
    """Finds a batch's documents, whichever of the units' indices they are in."""

    def __init__(
        self,
        removal: Removal,
        scope: Scope,
        units: Mapping[Unit, UnitPlan],
        target: RestoreTarget,
    ) -> None:
        self._removal, self._units, self._target = removal, units, target
        self._streams = {scope.stream.table: scope.stream.name}
        self._streams |= {part.table: part.stream for part in scope.parts if part.stream}

    def documents(self, table: str, keys: Sequence[str]) -> Iterator[Sequence[bytes]]:
        stream = self._streams[table]
        mentioned = [Unit.from_key(key) for key in self._removal.hours]
        plans = [self._units[unit] for unit in mentioned if unit.stream == stream]
        at, size = 0, FEWEST_DOCUMENTS
        while at < len(keys):
            page = keys[at : at + size]
            found: dict[str, bytes] = {}
            for plan in plans:
                missing = [key for key in page if key not in found]
                if missing:
                    found |= self._target.documents(plan, missing)
            if lost := [key for key in page if key not in found]:
                raise RestoreFailed(
                    f"{len(lost)} documents of {table} are missing, for example {lost[0]}",
                    where=", ".join(plan.index for plan in plans),
                    next_step="restore the index from its snapshot, then run the restore again",
                    missing=len(lost),
                )
            yield list(found.values())
            at += size
            mean = sum(map(len, found.values())) / max(1, len(found))
            size = int(min(MOST_DOCUMENTS, max(FEWEST_DOCUMENTS, PAGE_BYTES / max(1.0, mean))))
