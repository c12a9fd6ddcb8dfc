"""Small in-memory stores behind the core's ports, which fail when and where a test wants.

They keep the promises of the ports, those that matter when things go wrong above all: versions
decide between two writers, a fenced attempt writes nothing, an applied bulk may lose its answer.
"""

from __future__ import annotations

import itertools
import json
import threading
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Cursor, Phase
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.core.fingerprint import (
    EMPTY,
    MINUTE,
    Bucket,
    Summary,
    ranges,
)
from airflow_provider_logmigrate.core.plan import Estimate, UnitPlan
from airflow_provider_logmigrate.core.ports import (
    Framing,
    KeyPrint,
    ReadRequest,
    Rejected,
    SourceFinding,
    WriteResult,
)
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.core.unit import Period
from tests.unit.core.building import HOUR, Row

Hook = Callable[[str], None]
"""Called at every place where something can go wrong, with the place's name; may raise."""


def nothing_happens(place: str) -> None:
    """A hook for an undisturbed run."""


class FakeSource:
    """Rows by (event time, key).

    :param chunk_rows: rows per chunk.
    :param cursor_every: only every so many chunks carry a cursor, as when parents are followed.
    :param hook: see :data:`Hook`.
    """

    def __init__(
        self,
        rows: Mapping[str, Row],
        *,
        chunk_rows: int = 10,
        cursor_every: int = 1,
        hook: Hook = nothing_happens,
        versions: Iterator[int] | None = None,
    ) -> None:
        self.rows_by_key = dict(rows)
        self.chunk_rows = chunk_rows
        self.cursor_every = cursor_every
        self.hook = hook
        self.versions = versions or itertools.count(1)
        self.requests: list[ReadRequest] = []
        self.rows_read = 0

    def settled(self, start: datetime, end: datetime) -> list[Row]:
        """Settled rows of a range, in cursor order."""
        found = [r for r in self.rows_by_key.values() if r.settled and start <= r.at < end]
        return sorted(found, key=lambda row: (row.at, row.key))

    def survey(
        self, stream: str, tenant: str, periods: Sequence[Period]
    ) -> Mapping[Period, Estimate]:
        counted = {period: len(self.settled(period.start, period.end)) for period in periods}
        return {p: Estimate(count, 100 * count, exact=True) for p, count in counted.items()}

    def read(
        self,
        request: ReadRequest,
        *,
        framing: Framing,
        emit: Callable[[Chunk], None],
        report: Callable[[SourceFinding], None],
        stop: Stop,
    ) -> None:
        self.requests.append(request)
        sequence = 0
        for part in request.ranges:
            position = (request.after.event_time, request.after.key) if request.after else ("", "")
            while True:
                stop.check(request.plan.key)
                self.hook("page")
                version = next(self.versions)
                behind = [
                    row
                    for row in self.settled(part.start, part.end)
                    if (row.at.isoformat(), row.key) > position
                    and (request.keys is None or row.key in request.keys)
                ]
                page = behind[: self.chunk_rows]
                if not page:
                    break
                for row in page:
                    self.hook("row")
                    if row.odd:
                        report(SourceFinding("odd", row.key, "reported by the fake"))
                self.rows_read += len(page)
                position = (page[-1].at.isoformat(), page[-1].key)
                safe = (sequence + 1) % self.cursor_every == 0
                emit(
                    chunk_of(page, framing, version, sequence, Cursor(*position) if safe else None)
                )
                sequence += 1
        self.hook("read ends")

    def summarise(
        self,
        plan: UnitPlan,
        *,
        upper: datetime,
        prints: bool = True,
        hours: Collection[datetime] | None = None,
        minutes: bool = False,
    ) -> Summary:
        self.hook("source summary")
        period = plan.unit.period
        found = self.settled(period.start, min(period.end, upper))
        if hours is not None:
            found = [row for row in found if any(h <= row.at < h + HOUR for h in hours)]
        halves = ((row.at, row.fingerprint() if prints else (0, 0)) for row in found)
        return Summary(
            _buckets(halves, minutes=minutes),
            max_event_time=max((r.at for r in found), default=None),
        )

    def keys(
        self,
        plan: UnitPlan,
        *,
        hours: Sequence[datetime],
        upper: datetime,
        minutes: Collection[datetime] | None = None,
    ) -> Iterator[KeyPrint]:
        found = [
            row
            for start, end in _parts(hours, minutes)
            for row in self.settled(start, min(end, upper))
        ]
        for row in sorted(found, key=lambda row: row.key.encode()):
            yield KeyPrint(row.key, *row.fingerprint())

    def rows(
        self, plan: UnitPlan, keys: Sequence[str]
    ) -> Iterator[tuple[str, Mapping[str, str | None]]]:
        for key in keys:
            row = self.rows_by_key.get(key)
            if row is not None:
                yield key, row.content()

    def present(self, plan: UnitPlan, keys: Sequence[str]) -> tuple[int, frozenset[str]]:
        self.hook("present")
        version = next(self.versions)
        return version, frozenset(key for key in keys if key in self.rows_by_key)


def chunk_of(
    page: Sequence[Row], framing: Framing, version: int, sequence: int, cursor: Cursor | None
) -> Chunk:
    """Frame rows for a target."""
    offsets: array[int] = array("Q")
    body = b""
    for row in page:
        offsets.append(len(body))
        document = json.dumps(row.document()).encode()
        body += framing.prefix(version) % json.dumps(row.key).encode() + document + b"\n"
    return Chunk(sequence, body, offsets, tuple(row.key for row in page), cursor)


@dataclass(slots=True)
class Stored:
    """A document with its external version."""

    version: int
    content: dict[str, Any]


class FakeTarget:
    """Documents by id; an older version never replaces a newer one.

    :param rejects: keys whose documents are refused.
    :param hook: called before a chunk is applied and, as ``"answer"``, before its outcome is told.
    """

    def __init__(self, *, rejects: frozenset[str] = frozenset(), hook: Hook | None = None) -> None:
        self.documents: dict[str, Stored] = {}
        self.rejects = rejects
        self.hook: Hook = hook or nothing_happens
        self.on_write: Callable[[Chunk, Stop], None] = lambda chunk, stop: None
        self.loading = False
        self.superseded = 0
        self._lock = threading.Lock()

    def prefix(self, version: int) -> bytes:
        return b'{"_id":%%b,"version":%d}\n' % version

    def prepare(self, plan: UnitPlan) -> None:
        self.hook("prepare")
        self.loading = True

    def write(self, plan: UnitPlan, chunk: Chunk, *, stop: Stop) -> WriteResult:
        self.on_write(chunk, stop)
        self.hook("write")
        rejected = []
        superseded = 0
        with self._lock:
            for position, key in enumerate(chunk.keys):
                action, document = chunk.document(position).splitlines()
                if key in self.rejects:
                    rejected.append(Rejected(key, 400, "mapping", "refused", document))
                    continue
                version = json.loads(action)["version"]
                held = self.documents.get(key)
                if held is not None and held.version > version:
                    superseded += 1
                    continue
                self.documents[json.loads(action)["_id"]] = Stored(version, json.loads(document))
            self.superseded += superseded
        self.hook("answer")
        return WriteResult(chunk.count - len(rejected), tuple(rejected), superseded)

    def finish(self, plan: UnitPlan) -> None:
        self.hook("finish")
        self.loading = False

    def summarise(self, plan: UnitPlan, *, prints: bool = True) -> Summary:
        self.hook("target summary")
        contents = [stored.content for stored in self.documents.values()]
        return Summary(
            _buckets(
                (
                    datetime.fromisoformat(content["at"]),
                    (content["logmigrate"]["high"], content["logmigrate"]["low"])
                    if prints
                    else (0, 0),
                )
                for content in contents
            )
        )

    def minutes(self, plan: UnitPlan, *, hours: Sequence[datetime]) -> dict[datetime, Bucket]:
        contents = [stored.content for stored in self.documents.values()]
        marks = [(datetime.fromisoformat(c["at"]), c["logmigrate"]) for c in contents]
        within = _parts(hours, None)
        prints = ((at, (m["high"], m["low"])) for at, m in marks if _is_in(at, within))
        return _buckets(prints, minutes=True)

    def keys(
        self,
        plan: UnitPlan,
        *,
        hours: Sequence[datetime],
        minutes: Collection[datetime] | None = None,
    ) -> Iterator[KeyPrint]:
        parts = _parts(hours, minutes)
        for key in sorted(self.documents, key=str.encode):
            content = self.documents[key].content
            at = datetime.fromisoformat(content["at"])
            if _is_in(at, parts):
                mark = content["logmigrate"]
                yield KeyPrint(key, mark["high"], mark["low"])

    def sample(self, plan: UnitPlan, *, size: int, seed: int) -> list[tuple[str, dict[str, Any]]]:
        return [(key, self.documents[key].content) for key in sorted(self.documents)[:size]]

    def stored(self, plan: UnitPlan, keys: Sequence[str]) -> Mapping[str, bytes]:
        self.hook("stored")
        found = {key: self.documents[key].content for key in keys if key in self.documents}
        return {key: json.dumps(content).encode() for key, content in found.items()}

    def remove(self, plan: UnitPlan, ids: Sequence[str], *, version: int) -> int:
        self.hook("remove")
        with self._lock:
            old = [k for k in ids if k in self.documents and self.documents[k].version <= version]
            for key in old:
                del self.documents[key]
        return len(old)

    def contents(self) -> dict[str, dict[str, Any]]:
        """Documents by id, without versions."""
        with self._lock:
            return {key: stored.content for key, stored in self.documents.items()}


def _buckets(
    prints: Iterator[tuple[datetime, tuple[int, int]]], *, minutes: bool = False
) -> dict[datetime, Bucket]:
    buckets: dict[datetime, Bucket] = {}
    for at, (high, low) in prints:
        start = at.replace(minute=at.minute if minutes else 0, second=0, microsecond=0)
        buckets[start] = buckets.get(start, EMPTY) + Bucket(1, high, low)
    return buckets


def _parts(
    hours: Sequence[datetime], minutes: Collection[datetime] | None
) -> list[tuple[datetime, datetime]]:
    return ranges(hours, HOUR) if minutes is None else ranges(minutes, MINUTE)


def _is_in(at: datetime, parts: Sequence[tuple[datetime, datetime]]) -> bool:
    return any(start <= at < end for start, end in parts)


@dataclass(slots=True)
class FakeLedger:
    """What is durable: it outlives attempts, and only the newest attempt may write.

    :param on_checkpoint: looks at each record as soon as it is durable.
    """

    attempt: int = 0
    record: dict[str, Any] | None = None
    history: list[Checkpoint] = field(default_factory=list)
    dead_letters: dict[str, Rejected] = field(default_factory=dict)
    findings: set[SourceFinding] = field(default_factory=set)
    on_checkpoint: Callable[[Checkpoint], None] = lambda record: None
    transaction: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> tuple[int, Checkpoint | None]:
        """Claim the unit: a fencing token and the checkpoint to go on from."""
        with self.transaction:
            self.attempt += 1
            return self.attempt, self.previous

    @property
    def previous(self) -> Checkpoint | None:
        """The durable checkpoint, through JSON as in life."""
        if self.record is None:
            return None
        return Checkpoint.from_json(json.loads(json.dumps(self.record)))


class FakeJournal:
    """The journal of one attempt.

    :param hook: called before something becomes durable and, as ``"kept ..."``, after.
    """

    def __init__(
        self, ledger: FakeLedger, *, attempt: int | None = None, hook: Hook = nothing_happens
    ) -> None:
        self.ledger = ledger
        self.attempt = ledger.begin()[0] if attempt is None else attempt
        self.hook = hook
        self.shown: list[Progress] = []
        self.batches: list[int] = []

    def _fence(self, plan: UnitPlan) -> None:
        if self.ledger.attempt != self.attempt:
            raise Fenced(f"attempt {self.attempt} was taken over", where=plan.key)

    def dead_letters(self, plan: UnitPlan, rejected: Sequence[Rejected]) -> None:
        self.hook("dead letters")
        with self.ledger.transaction:
            self._fence(plan)
            self.ledger.dead_letters.update({item.key: item for item in rejected})
        self.hook("kept dead letters")

    def findings(self, plan: UnitPlan, found: Sequence[SourceFinding]) -> None:
        self.hook("findings")
        with self.ledger.transaction:
            self._fence(plan)
            self.batches.append(len(found))
            self.ledger.findings.update(found)
        self.hook("kept findings")

    def checkpoint(
        self,
        plan: UnitPlan,
        *,
        cursor: Cursor | None,
        counters: Counters,
        upper: datetime,
        copied: bool,
    ) -> None:
        self.hook("checkpoint")
        record = Checkpoint(
            unit=plan.key,
            definition=plan.definition,
            phase=Phase.COPIED if copied else Phase.COPYING,
            attempt=self.attempt,
            upper=upper.isoformat(),
            cursor=cursor,
            counters=counters,
        )
        with self.ledger.transaction:
            self._fence(plan)
            self.ledger.record = record.to_json()
            self.ledger.history.append(record)
            self.ledger.on_checkpoint(record)
        self.hook("kept checkpoint")

    def progress(self, progress: Progress) -> None:
        self.hook("progress")
        self.shown.append(progress)
