"""Purging one unit: windows of whole groups, each row proven, small transactions.

Three things go on at once: one thread lists groups and lets the source compute fingerprints, one
compares these with the documents, and the caller's deletes what was proven before.

Source and ledger are different databases, so a batch goes in three durable steps: the intent is
kept in the ledger while the source's transaction is open, the source commits, the ledger notes it.
A kill between any two of them leaves an intent whose transaction number says what became of it;
the next attempt asks for it before it deletes anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from airflow_provider_logmigrate.core.ahead import ahead
from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.core.purge import PurgeUnit
from airflow_provider_logmigrate.core.purge_fate import finish_open
from airflow_provider_logmigrate.core.purge_ports import (
    DeletionLog,
    Group,
    GroupWindow,
    ObjectStore,
    PurgeSource,
    PurgeTarget,
    RowsChanged,
)
from airflow_provider_logmigrate.core.purge_proof import Proposal, Prover
from airflow_provider_logmigrate.core.purge_scope import Scope

FIRST_BATCH, SMALLEST_BATCH, LARGEST_BATCH = 1_000, 200, 20_000
"""Rows of one transaction."""

FEWEST_GROUPS, MOST_GROUPS = 500, 10_000
"""Groups listed at once. Without an index each listing scans a table, so more is better..."""

WINDOW_ROWS = 50_000
"""...up to about this many rows, some 15 MB of memory; three windows are held at a time."""

LOOK_BEHIND = 50_000
"""Groups after which the source is asked for what was written for them meanwhile."""

MOST_CHANGES, MOST_FAILURES = 3, 6
"""How often one batch is tried again after its rows changed, or after the source refused it."""

PAUSE_SECONDS = 1.0
"""Before the first such repetition; each one waits longer."""


@dataclass(slots=True)
class PurgeOutcome:
    """What a purge of a unit did.

    :param rows: deleted rows by table, those of earlier attempts left out.
    :param stayed: groups that stayed, by reason; ``examples`` has a key for each.
    :param left_behind: rows that were written for deleted ones meanwhile, by table; they stay.
    :param settled: rows of earlier attempts' batches that turned out to be deleted.
    :param longest: seconds of the longest transaction.
    """

    unit: str
    rows: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    stayed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    left_behind: Counter[str] = field(default_factory=Counter)
    settled: int = 0
    longest: float = 0.0
    seconds: float = 0.0


def next_size(rows: int, seconds: float, *, aim: float) -> int:
    """How many rows the next batch should have, after one that took ``seconds``.

    Grows by a factor of four at most and shrinks by two, so that one odd batch doesn't decide.
    """
    factor = min(4.0, max(0.5, aim / seconds)) if seconds > 0 else 4.0
    return int(min(LARGEST_BATCH, max(SMALLEST_BATCH, rows * factor)))


def purge_unit(
    unit: PurgeUnit,
    scope: Scope,
    *,
    source: PurgeSource,
    target: PurgeTarget,
    objects: ObjectStore | None,
    log: DeletionLog,
    clock: Clock,
    stop: Stop,
    aim: float = 0.5,
    before_batch: Callable[[], None] = lambda: None,
) -> PurgeOutcome:
    """Delete a unit's settled rows with all that hangs on them, each one proven.

    A row goes only as the very version whose fingerprint was seen to be its document's; a group of
    which one row can't be proven stays whole. Idempotent: repeated after any kill it deletes what
    is left of the plan and nothing else.

    :param aim: seconds of one transaction.
    :param before_batch: waits as long as the source has to be spared.
    """
    prover = Prover(unit, target, objects, stop)
    work = _Work(unit, scope, source, prover, log, clock, stop, aim, before_batch)
    began = clock.monotonic()
    work.outcome.settled = finish_open(source, log, scope, stop=stop, where=unit.key)
    work.run()
    work.outcome.seconds = clock.monotonic() - began
    return work.outcome


class _Work:
    def __init__(
        self,
        unit: PurgeUnit,
        scope: Scope,
        source: PurgeSource,
        prover: Prover,
        log: DeletionLog,
        clock: Clock,
        stop: Stop,
        aim: float,
        before_batch: Callable[[], None],
    ) -> None:
        self._unit, self._scope = unit, scope
        self._source, self._prover = source, prover
        self._log, self._clock, self._stop = log, clock, stop
        self._aim, self._before_batch = aim, before_batch
        self._size = min(FIRST_BATCH, LARGEST_BATCH)
        self.outcome = PurgeOutcome(unit.key)

    def run(self) -> None:
        gone: list[str] = []
        with (
            ahead(self._windows(), name="purge-list") as windows,
            ahead(self._proposals(windows), name="purge-prove") as proposals,
        ):
            for proposal in proposals:
                for group, why in proposal.stay:
                    self._stays(group, why)
                gone += self._batch(proposal.groups)
                if len(gone) >= LOOK_BEHIND:
                    self._look_behind(gone)
                    gone = []
        self._look_behind(gone)

    def _windows(self) -> Iterator[GroupWindow]:
        after: Cursor | None = None
        limit = FEWEST_GROUPS
        while True:
            self._stop.check(self._unit.key)
            window = self._source.groups(self._scope, self._unit.plan, after=after, limit=limit)
            yield window
            if window.after is None:
                return
            after = window.after
            rows = sum(group.size for group in window.groups)
            limit = min(MOST_GROUPS, max(FEWEST_GROUPS, limit * WINDOW_ROWS // max(1, rows)))

    def _proposals(self, windows: Iterable[GroupWindow]) -> Iterator[Proposal]:
        for window in windows:
            yield from self._prover.proposals(window.groups, size=lambda: self._size)

    def _look_behind(self, gone: list[str]) -> None:
        if gone:
            self.outcome.left_behind.update(self._source.left_behind(self._scope, gone))

    def _batch(self, batch: list[Group]) -> list[str]:
        """Delete some groups in one transaction; keys of those that are gone."""
        failures = changes = 0
        while batch:
            self._before_batch()
            self._stop.check(self._unit.key)
            rows, began = sum(group.size for group in batch), self._clock.monotonic()
            try:
                self._delete(batch)
            except RowsChanged as change:
                changes += 1
                batch = self._unchanged(batch, change, last=changes == MOST_CHANGES)
            except SourceUnavailable:
                failures += 1
                if failures == MOST_FAILURES:
                    raise
                self._size = max(SMALLEST_BATCH, self._size // 2)
                self._stop.wait(PAUSE_SECONDS * failures, self._unit.key)
                if self._settle_open():
                    return [group.key for group in batch]  # only the answer was lost
            else:
                took = self._clock.monotonic() - began
                self._size = next_size(rows, took, aim=self._aim)
                self.outcome.longest = max(self.outcome.longest, took)
                return [group.key for group in batch]
        return []

    def _delete(self, batch: list[Group]) -> None:
        kept: list[int] = []
        removal = self._source.delete(
            self._scope,
            self._unit.plan,
            batch,
            before_commit=lambda removal: kept.append(self._log.intend(removal)),
        )
        self._log.settle(kept[0])
        self.outcome.batches += 1
        self.outcome.rows.update({table: len(keys) for table, keys in removal.keys.items()})

    def _settle_open(self) -> int:
        rows = finish_open(
            self._source, self._log, self._scope, stop=self._stop, where=self._unit.key
        )
        self.outcome.settled += rows
        return rows

    def _unchanged(self, batch: list[Group], change: RowsChanged, *, last: bool) -> list[Group]:
        """The groups that nobody touched since they were read."""
        left = []
        for group in batch:
            if why := change.groups.get(group.key):
                self._stays(group, why)
            elif last:
                self._stays(group, "rows beside it changed again and again during the purge")
            else:
                left.append(group)
        return left

    def _stays(self, group: Group, reason: str) -> None:
        self.outcome.stayed[reason] += 1
        self.outcome.examples.setdefault(reason, group.key)
