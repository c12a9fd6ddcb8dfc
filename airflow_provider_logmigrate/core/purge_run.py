"""Purging one unit: small transactions that delete whole groups and prove what they delete.

How much hangs on each row is listed first; if several sessions delete, beside them. A deleting
transaction reads the fingerprints of the rows it takes, asks the index for the sum of just their
documents, and is undone unless both are the same. Only then the groups are looked at one by one.

Source and ledger are different databases, so a batch goes in three durable steps: the intent is
kept in the ledger while the source's transaction is open, the source commits, the ledger notes it.
A kill between any two of them leaves an intent whose transaction number says what became of it;
the next attempt asks for it before it deletes anything.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
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
    Removal,
    Rows,
    RowsChanged,
)
from airflow_provider_logmigrate.core.purge_proof import Prover
from airflow_provider_logmigrate.core.purge_scope import Scope
from airflow_provider_logmigrate.core.together import side_by_side

FIRST_BATCH, SMALLEST_BATCH, LARGEST_BATCH = 2_000, 200, 20_000
"""Rows of one transaction."""

FEWEST_GROUPS, MOST_GROUPS = 1_000, 20_000
"""Groups listed at once. Without an index each listing scans a table, so more is better..."""

WINDOW_ROWS = 500_000
"""...up to about this many rows, some 50 MB if all are named; two windows are held at a time."""

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
    :param size: rows of a transaction that takes as long as it should.
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
    size: int = FIRST_BATCH


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
    size: int = FIRST_BATCH,
    sessions: int = 1,
    before_batch: Callable[[], None] = lambda: None,
) -> PurgeOutcome:
    """Delete a unit's settled rows with all that hangs on them, each one proven.

    A group of which one row can't be proven stays whole. Idempotent: repeated after any kill it
    deletes what is left of the plan and nothing else.

    :param aim: seconds of one transaction.
    :param size: rows of the first one, as an earlier unit's outcome has it.
    :param sessions: transactions at a time.
    :param before_batch: waits as long as the source has to be spared; never called by two threads
        at once.
    """
    prover = Prover(unit, target, objects, stop)
    work = _Work(unit, scope, source, prover, log, clock, stop, aim, before_batch)
    began = clock.monotonic()
    work.outcome.size = min(size, LARGEST_BATCH)
    work.outcome.settled = finish_open(source, log, scope, stop=stop, where=unit.key)
    work.run(sessions)
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
        self._waiting = threading.Lock()  # for the source's sake
        self._noting = threading.Lock()  # in the ledger, and in the outcome
        self.outcome = PurgeOutcome(unit.key)

    def run(self, sessions: int) -> None:
        gone: list[str] = []
        # A single session spares the source: then nothing is listed beside it.
        listed = ahead(self._windows(), name="purge-list") if sessions > 1 else None
        with listed or nullcontext(self._windows()) as windows:
            for keys in side_by_side(self._batch, self._batches(windows), most=sessions):
                gone += keys
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

    def _batches(self, windows: Iterable[GroupWindow]) -> Iterator[list[Group]]:
        for window in windows:
            waiting = list(reversed(self._willing(window.groups)))
            while waiting:
                batch = [waiting.pop()]
                rows, most = batch[0].size, self.outcome.size
                while waiting and rows + waiting[-1].size <= most:
                    batch.append(waiting.pop())
                    rows += batch[-1].size
                yield batch

    def _willing(self, groups: Sequence[Group]) -> list[Group]:
        for group in groups:
            if group.obstacle:
                self._stays(group, group.obstacle)
        return [group for group in groups if not group.obstacle]

    def _look_behind(self, gone: list[str]) -> None:
        if gone:
            self.outcome.left_behind.update(self._source.left_behind(self._scope, gone))

    def _batch(self, batch: list[Group]) -> list[str]:
        """Delete some groups in one transaction; keys of those that are gone."""
        failures = changes = 0
        # Whether an object's content is whole in its document, a sum can't tell.
        unsure = any(group.objects for group in batch)
        while batch:
            with self._waiting:
                self._before_batch()
            self._stop.check(self._unit.key)
            try:
                if unsure and not (batch := self._proven(batch)):
                    break
                self._delete(batch)
            except RowsChanged:
                changes, unsure = changes + 1, True
                if changes > MOST_CHANGES:
                    for group in batch:
                        self._stays(group, "rows beside it changed again and again")
                    break
            except SourceUnavailable:
                failures += 1
                if failures == MOST_FAILURES:
                    raise
                self.outcome.size = max(SMALLEST_BATCH, self.outcome.size // 2)
                self._stop.wait(PAUSE_SECONDS * failures, self._unit.key)
            else:
                return [group.key for group in batch]
        return []

    def _proven(self, batch: list[Group]) -> list[Group]:
        """Look at the groups one by one; those that may go."""
        proposal = self._prover.prove(self._source.look(self._scope, self._unit.plan, batch))
        for group, why in proposal.stay:
            self._stays(group, why)
        return proposal.groups

    def _delete(self, batch: list[Group]) -> None:
        kept: list[int] = []

        def before_commit(removal: Removal, rows: Sequence[Rows]) -> None:
            if not self._prover.holds(rows):
                raise RowsChanged("the documents don't add up to the rows")
            with self._noting:
                kept.append(self._log.intend(removal))

        began = self._clock.monotonic()
        try:
            removal = self._source.delete(
                self._scope, self._unit.plan, batch, before_commit=before_commit
            )
        except SourceUnavailable:
            # Perhaps only the answer was lost.
            if not kept or not self._finish(kept[0]):
                raise
            return
        took = self._clock.monotonic() - began
        with self._noting:
            self._log.settle(kept[0])
            self.outcome.size = next_size(removal.rows, took, aim=self._aim)
            self.outcome.longest = max(self.outcome.longest, took)
            self.outcome.batches += 1
            self.outcome.rows.update({table: len(keys) for table, keys in removal.keys.items()})

    def _finish(self, batch: int) -> int:
        with self._noting:
            rows = finish_open(
                *(self._source, self._log, self._scope),
                stop=self._stop,
                where=self._unit.key,
                only=batch,
            )
            self.outcome.settled += rows
        return rows

    def _stays(self, group: Group, reason: str) -> None:
        with self._noting:
            self.outcome.stayed[reason] += 1
            self.outcome.examples.setdefault(reason, group.key)
