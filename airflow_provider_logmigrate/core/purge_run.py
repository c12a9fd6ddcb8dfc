"""Purging one unit: windows of whole groups, each row proven, small transactions.

Source and ledger are different databases, so a batch goes in three durable steps: the intent is
kept in the ledger while the source's transaction is open, the source commits, the ledger notes it.
A kill between any two of them leaves an intent whose transaction number says what became of it;
the next attempt asks for it before it deletes anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge import PurgeUnit
from airflow_provider_logmigrate.core.purge_ports import (
    DeletionLog,
    Fate,
    Group,
    GroupWindow,
    Member,
    ObjectStore,
    Print,
    PurgeSource,
    PurgeTarget,
    RowsChanged,
    StoredObject,
)
from airflow_provider_logmigrate.core.purge_scope import Scope
from airflow_provider_logmigrate.core.unit import Unit

SMALLEST_BATCH, LARGEST_BATCH = 200, 20_000
"""Rows of one transaction."""

FEWEST_GROUPS, MOST_GROUPS = 500, 10_000
"""Groups listed at once. Without an index each listing scans a table, so more is better..."""

WINDOW_ROWS = 50_000
"""...up to about this many rows, some 15 MB of memory; two windows are held at a time."""

MOST_CHANGES, MOST_FAILURES = 3, 6
"""How often one batch is tried again after its rows changed, or after the source refused it."""

PAUSE_SECONDS = 1.0
"""Before the first such repetition; each one waits longer."""

FATE_SECONDS = 1.0
FATE_TRIES = 120
"""How long a transaction of an earlier attempt may go on; idle ones are ended by the server."""

MAX_OBJECT = 64 << 20
"""Bytes of one offloaded object that are compared with its document."""

Proven = dict[tuple[str, str], Print]
"""Fingerprints of documents by table and key."""


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

    Moves by a factor of two at most, so that one odd batch doesn't decide.
    """
    factor = min(2.0, max(0.5, aim / seconds)) if seconds > 0 else 2.0
    return int(min(LARGEST_BATCH, max(SMALLEST_BATCH, rows * factor)))


def finish_open(
    source: PurgeSource, log: DeletionLog, scope: Scope, *, stop: Stop, where: str
) -> int:
    """Find out what became of batches whose end nobody saw; rows that turned out to be deleted.

    :raises SourceUnavailable: one of them is still running after a while.
    """
    rows = 0
    for batch in log.open():
        for _ in range(FATE_TRIES):
            fate = source.fate(scope, batch.removal)
            if fate is not Fate.RUNNING:
                break
            stop.wait(FATE_SECONDS, where)
        else:
            raise SourceUnavailable(
                f"transaction {batch.removal.transaction} of an earlier attempt is still open",
                where=where,
                next_step="nothing if it passes; else end its session in pg_stat_activity",
            )
        if fate is Fate.COMMITTED:
            log.settle(batch.id)
            rows += batch.removal.rows
        else:
            log.drop(batch.id)
    return rows


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

    A row goes only in the transaction in which it was seen to have the fingerprint of its
    document; a group of which one row can't be proven stays whole. Idempotent: repeated after any
    kill it deletes what is left of the plan and nothing else.

    :param aim: seconds of one transaction.
    :param before_batch: waits as long as the source has to be spared.
    """
    work = _Work(unit, scope, source, target, objects, log, clock, stop, aim, before_batch)
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
        target: PurgeTarget,
        objects: ObjectStore | None,
        log: DeletionLog,
        clock: Clock,
        stop: Stop,
        aim: float,
        before_batch: Callable[[], None],
    ) -> None:
        self._unit, self._scope = unit, scope
        self._source, self._target, self._objects = source, target, objects
        self._log, self._clock, self._stop = log, clock, stop
        self._aim, self._before_batch = aim, before_batch
        self._size = SMALLEST_BATCH
        self._plans: dict[int, tuple[Unit, UnitPlan | None]] = {}
        self.outcome = PurgeOutcome(unit.key)

    def run(self) -> None:
        # The next window is listed and looked up while this one's rows are deleted.
        with ThreadPoolExecutor(1, thread_name_prefix="purge-ahead") as ahead:
            limit = FEWEST_GROUPS
            coming = ahead.submit(self._look, None, limit)
            while True:
                window, proven = coming.result()
                if window.after is not None:
                    rows = sum(len(group.members) for group in window.groups)
                    fitting = limit * WINDOW_ROWS // max(1, rows)
                    limit = min(MOST_GROUPS, max(FEWEST_GROUPS, fitting))
                    coming = ahead.submit(self._look, window.after, limit)
                gone = self._window(window.groups, proven)
                if gone:
                    left = self._source.left_behind(self._scope, gone)
                    self.outcome.left_behind.update(left)
                if window.after is None:
                    return

    def _look(self, after: Cursor | None, limit: int) -> tuple[GroupWindow, Proven]:
        """List a window and fetch what its documents say. Runs in a thread of its own."""
        self._stop.check(self._unit.key)
        window = self._source.groups(self._scope, self._unit.plan, after=after, limit=limit)
        return window, self._prints(window.groups)

    def _window(self, groups: Sequence[Group], proven: Proven) -> list[str]:
        """Delete what may go of a window; keys of the groups that are gone."""
        fit = [group for group in groups if self._allowed(group) and self._proven(group, proven)]
        gone: list[str] = []
        waiting = fit[::-1]
        while waiting:
            batch = [waiting.pop()]
            rows = len(batch[0].members)
            while waiting and rows + len(waiting[-1].members) <= self._size:
                batch.append(waiting.pop())
                rows += len(batch[-1].members)
            gone += self._batch(batch, rows, proven)
        return gone

    def _batch(self, batch: list[Group], rows: int, proven: Proven) -> list[str]:
        """Delete some groups in one transaction; keys of those that are gone."""
        failures = changes = 0
        while batch:
            self._before_batch()
            self._stop.check(self._unit.key)
            began = self._clock.monotonic()
            try:
                self._delete(batch, proven)
            except RowsChanged as change:
                changes += 1
                if changes == MOST_CHANGES:
                    for group in batch:
                        self._stays(group, f"rows changed during the purge: {change}")
                    return []
                batch = [group for group in batch if self._unchanged(group, proven)]
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

    def _delete(self, batch: Sequence[Group], proven: Proven) -> None:
        kept: list[int] = []
        removal = self._source.delete(
            self._scope,
            self._unit.plan,
            batch,
            proven=_sums(batch, proven),
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

    def _allowed(self, group: Group) -> bool:
        if group.obstacle:
            return self._stays(group, group.obstacle)
        for member in group.members:
            if member.unit is not None and self._plan_of(member.unit) is None:
                why = f"a row of {member.table} is in {member.unit.key}, which the plan leaves out"
                return self._stays(group, why)
        return True

    def _plan_of(self, unit: Unit) -> UnitPlan | None:
        """The plan's unit, by identity first: rows of one unit share it, and hashing one costs."""
        if id(unit) not in self._plans:
            self._plans[id(unit)] = unit, self._unit.units.get(unit)
        return self._plans[id(unit)][1]

    def _prints(self, groups: Iterable[Group]) -> Proven:
        """What the documents of these rows say, a few requests for all of them."""
        by_unit: dict[str, tuple[UnitPlan, list[Member]]] = {}
        known: dict[int, list[Member]] = {}
        for group in groups:
            for member in group.members:
                unit = member.unit
                if unit is None or (plan := self._plan_of(unit)) is None:
                    continue
                if (some := known.get(id(unit))) is None:
                    some = known[id(unit)] = by_unit.setdefault(plan.key, (plan, []))[1]
                some.append(member)
        proven: Proven = {}
        for plan, members in by_unit.values():
            self._stop.check(self._unit.key)
            found = self._target.prints(plan, [member.key for member in members])
            for member in members:
                if (has := found.get(member.key)) is not None:
                    proven[member.table, member.key] = has
        return proven

    def _proven(self, group: Group, proven: Proven) -> bool:
        for member in group.members:
            if member.unit is not None and (member.table, member.key) not in proven:
                return self._stays(group, f"a row of {member.table} has no document")
        for item in group.objects:
            if why := self._unsafe(item):
                return self._stays(group, why)
        return True

    def _unsafe(self, item: StoredObject) -> str:
        """Why an object can't go, empty if its content stands whole in a document, or is lost."""
        if self._objects is None:
            return "its offloaded content isn't followed"
        content = self._objects.read(item.key, limit=MAX_OBJECT + 1)
        if content is None:
            return ""  # nothing is lost that isn't lost already
        if item.row is None or item.row.unit is None:
            return "offloaded content belongs to no row that has a document"
        plan = self._unit.units[item.row.unit]
        if len(content) > MAX_OBJECT or not self._target.holds(plan, item, content):
            return "offloaded content isn't whole in its document"
        return ""

    def _unchanged(self, group: Group, proven: Proven) -> bool:
        """Look at a group's rows one by one."""
        tables: dict[tuple[str, str], list[Member]] = {}
        for member in group.members:
            if member.unit is not None:
                tables.setdefault((member.table, member.unit.stream), []).append(member)
        for (table, stream), members in tables.items():
            tenant = self._unit.plan.unit.tenant
            now = self._source.prints(stream, tenant, [member.key for member in members])
            for member in members:
                if now.get(member.key) != proven[table, member.key]:
                    gone = member.key not in now
                    why = "is gone already" if gone else "changed since it was copied"
                    return self._stays(group, f"a row of {table} {why}")
        return True

    def _stays(self, group: Group, reason: str) -> bool:
        self.outcome.stayed[reason] += 1
        self.outcome.examples.setdefault(reason, group.key)
        return False


def _sums(groups: Sequence[Group], proven: Proven) -> Mapping[str, Bucket]:
    sums: dict[str, Bucket] = {}
    for group in groups:
        for member in group.members:
            if member.unit is not None:
                high, low = proven[member.table, member.key]
                sums[member.table] = sums.get(member.table, EMPTY) + Bucket(1, high, low)
    return sums
