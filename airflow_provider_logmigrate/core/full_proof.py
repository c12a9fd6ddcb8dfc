"""The full proof: every document against what the copy would write for its row now.

The unit is read once more, by the way it was copied, and the documents are fetched by their keys,
chunk by chunk. Equal bytes are equal documents; where bytes differ, both are parsed and compared
member by member, so that another spelling of the same value is no difference. Rows can come in any
order, and memory holds a few chunks, whatever the unit's size.

It looks from the rows to the documents, so a document without a row is out of its sight: the hourly
sums find it, and they were compared before.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from airflow_provider_logmigrate.core.certificate import Finding, FindingKind, TallyBuilder
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Clock, Stop, SystemClock
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.fingerprint import FIELD
from airflow_provider_logmigrate.core.guard import SourceGuard
from airflow_provider_logmigrate.core.pace import Pace
from airflow_provider_logmigrate.core.pipeline import Event, Failed, Pipeline, ReadDone, Written
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import (
    CopyLimits,
    ReadRequest,
    Source,
    SourceFinding,
    Target,
    TimeRange,
    WriteResult,
)

LIMITS = CopyLimits(in_flight=2, chunk_bytes=2 << 20)
"""From a third request a node and a reader on two cores gain nothing, and an answer is held some
three times while it is looked at."""

POLL_SECONDS = 0.2
"""How often the stop flag is looked at while nothing happens."""

PROGRESS_SECONDS = 30.0
"""How often the log says how far it is."""

NAMED_REMEMBERED = 100_000
"""Keys of differing documents kept in memory, some 10 MB; a sample meets few of more."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a full proof looked at.

    :param named: keys that a finding names, the first of them.
    :param lacking: hours in which a row has no document.
    """

    rows: int = 0
    named: Collection[str] = ()
    lacking: Collection[datetime] = ()


def compare_all(
    *,
    source: Source,
    target: Target,
    plan: UnitPlan,
    upper: datetime,
    excused: Mapping[str, FindingKind],
    comparer: RowComparer,
    tally: TallyBuilder,
    stop: Stop,
    clock: Clock | None = None,
    guard: SourceGuard | None = None,
) -> Compared:
    """Compare each settled row before ``upper`` with its document.

    :param excused: keys in the dead letters, whose documents are expected to be missing, and what
        such a finding is called.
    :param tally: takes what differs: ``missing``, those, ``stale``, ``altered``, ``content``.
    :param guard: spares the source as in a copy.
    :raises Interrupted: ``stop`` was set.
    """
    period = plan.unit.period
    if upper <= period.start:
        return Compared()
    time = clock or SystemClock()
    fetching = _Fetching(target)
    pipeline = Pipeline(
        source=source,
        target=fetching,
        # Like a repair: also rows that a strategy which follows parents can't see.
        request=ReadRequest(plan, (TimeRange(period.start, upper),), repair=True),
        in_flight=LIMITS.in_flight,
        pace=Pace(limits=LIMITS, clock=time, guard=guard),
    )
    judge = _Judge(fetching, comparer, excused, tally)
    try:
        pipeline.read()
        pipeline.write()
        _settle_all(pipeline, judge, plan, stop=stop, clock=time)
    except BaseException as error:
        pipeline.end(f"{type(error).__name__}: {error}")
        raise
    pipeline.end("everything is compared")
    return Compared(judge.rows, judge.named, judge.lacking)


def _settle_all(
    pipeline: Pipeline, judge: _Judge, plan: UnitPlan, *, stop: Stop, clock: Clock
) -> None:
    read_done, settled = False, 0
    told = clock.monotonic()
    while not (read_done and settled == pipeline.emitted):
        stop.check(plan.key)
        event = pipeline.next_event(timeout=POLL_SECONDS)
        if isinstance(event, ReadDone):
            read_done = True
        elif event is not None and judge.take(event):
            pipeline.settled()
            settled += 1
        if clock.monotonic() - told >= PROGRESS_SECONDS:
            told = clock.monotonic()
            _log.info("%s: %s documents compared", plan.key, f"{judge.rows:,}")


@dataclass(frozen=True, slots=True)
class _Fetched:
    """One chunk's keys, and what the unequal ones should be and are; ``None``: no document."""

    keys: tuple[str, ...]
    unequal: tuple[tuple[str, bytes, bytes | None], ...]


class _Fetching:
    """Stands where a copy has its target: fetches documents instead of writing them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._fetched: dict[int, _Fetched] = {}

    def prefix(self, version: int) -> bytes:  # noqa: ARG002
        """The key on a line of its own, which :meth:`write` cuts off."""
        return b"%b\n"

    def write(self, plan: UnitPlan, chunk: Chunk, *, stop: Stop) -> WriteResult:
        """Fetch the chunk's documents and keep those that aren't equal to the byte."""
        stop.check(plan.key)
        stored = self._target.stored(plan, chunk.keys)
        unequal = []
        for position, key in enumerate(chunk.keys):
            framed = chunk.document(position)
            wanted = framed[framed.index(b"\n") + 1 : -1]
            if (found := stored.get(key)) != wanted:
                unequal.append((key, wanted, found))
        self._fetched[chunk.sequence] = _Fetched(chunk.keys, tuple(unequal))
        return WriteResult(chunk.count)

    def pop(self, sequence: int) -> _Fetched:
        """What became of a chunk; its bytes are let go."""
        return self._fetched.pop(sequence)


class _Judge:
    """Says what each unequal document is; belongs to the calling thread.

    :ivar rows: compared so far.
    :ivar named: see :class:`Compared`; so ``lacking``.
    """

    def __init__(
        self,
        fetching: _Fetching,
        comparer: RowComparer,
        excused: Mapping[str, FindingKind],
        tally: TallyBuilder,
    ) -> None:
        self._fetching, self._comparer = fetching, comparer
        self._excused, self._tally = excused, tally
        self._unreadable: dict[str, str] = {}
        self.rows = 0
        self.named: set[str] = set()
        self.lacking: set[datetime] = set()

    def take(self, event: Event) -> bool:
        """Take one event; True for a chunk that is done with."""
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, SourceFinding):
            if event.kind.startswith("offload"):
                # Comes before the chunk that holds its row, and goes with it.
                self._unreadable[event.key] = event.detail
            return False
        if isinstance(event, Written):
            fetched = self._fetching.pop(event.sequence)
            for key, wanted, found in fetched.unequal:
                for finding in self._findings(key, wanted, found):
                    self._tally.add(finding)
                    if len(self.named) < NAMED_REMEMBERED:
                        self.named.add(key)
            if self._unreadable:
                for key in fetched.keys:
                    self._unreadable.pop(key, None)
            self.rows += len(fetched.keys)
            return True
        return False

    def _findings(self, key: str, wanted: bytes, found: bytes | None) -> Iterator[Finding]:
        if found is None:
            yield Finding(self._excused.get(key, FindingKind.MISSING), key)
            self.lacking.add(self._comparer.hour(_parsed(wanted)))
            return
        try:
            row, document = _parsed(wanted), _parsed(found)
        except (ValueError, RecursionError):
            yield Finding(FindingKind.ALTERED, key, "the bytes differ and can't be parsed")
            return
        if row[FIELD] != document.get(FIELD):
            yield Finding(FindingKind.STALE, key, "fingerprints differ")
            return
        for name, difference in self._comparer.between(row, document):
            if name not in row and key in self._unreadable and self._comparer.is_added(name):
                reason = self._unreadable[key]
                yield Finding(FindingKind.CONTENT, key, f"{name} can't be compared: {reason}")
            else:
                yield Finding(FindingKind.ALTERED, key, difference)


def _parsed(document: bytes) -> Mapping[str, Any]:
    parsed = json.loads(document, parse_float=Decimal)
    if not isinstance(parsed, dict):
        raise ValueError("a document is a JSON object")
    return parsed
