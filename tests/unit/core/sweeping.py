"""A table of many tenants in blocks, and small stores around it that fail where a test wants."""

from __future__ import annotations

import itertools
import json
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Fenced, IndexConflict
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Framing, Rejected, SourceFinding, WriteResult
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.core.sweep import (
    Part,
    Place,
    Relation,
    SweepPlan,
    SweptStream,
    cut_parts,
)
from airflow_provider_logmigrate.core.sweep_ports import (
    Find,
    MixedChunk,
    OpenUnit,
    PartRecord,
    UnitFinding,
)
from airflow_provider_logmigrate.core.unit import Granularity
from tests.unit.core.building import MONTH, plan
from tests.unit.core.fakes import Hook, nothing_happens

RELATION = Relation("public", "runs", 7, 1000)


@dataclass(frozen=True, slots=True)
class Lying:
    """A row where it lies.

    :param tenant: ``None``: of nobody in the migration.
    """

    place: Place
    key: str
    tenant: str | None
    odd: bool = False


def table(count: int, *, tenants: Sequence[str | None], rows_per_block: int = 3) -> list[Lying]:
    """Rows of the tenants in turn."""
    names = itertools.cycle(tenants)
    return [
        Lying(Place(n // rows_per_block, n % rows_per_block + 1), f"k{n:04d}", next(names))
        for n in range(count)
    ]


def sweep_plan(*tenants: str, lanes: int = 1, blocks: int = 1000) -> SweepPlan:
    """One month of each tenant."""
    units = tuple(plan(tenant) for tenant in tenants)
    relation = Relation(RELATION.schema, RELATION.name, RELATION.file, blocks)
    return SweepPlan(
        migration="m",
        granularity=Granularity.MONTH,
        first=MONTH.start,
        end=MONTH.end,
        ripe=MONTH.end,
        tenants=tenants,
        streams=(SweptStream("runs", "no index", "d1", 100, {"mappings": {}, "settings": {}}),),
        units=units,
        parts=cut_parts([("runs", relation)], lanes=lanes),
    )


class FakePartSource:
    """Rows in the order of their places.

    :param hook: called at every place where something can go wrong.
    """

    def __init__(
        self, rows: Sequence[Lying], *, chunk_rows: int = 4, hook: Hook = nothing_happens
    ) -> None:
        self.rows, self.chunk_rows, self.hook = list(rows), chunk_rows, hook
        self.read: list[str] = []

    def read_part(
        self,
        plan: SweepPlan,
        part: Part,
        *,
        after: Place,
        find: Find,
        emit: Callable[[MixedChunk], None],
        report: Callable[[UnitFinding], None],
        stop: Stop,
        chunk_bytes: Callable[[], int],
        before_page: Callable[[], None],
    ) -> None:
        before_page()
        assert chunk_bytes() > 0
        sequence = itertools.count()
        batch: list[tuple[Lying, OpenUnit]] = []
        skipped: Counter[str] = Counter()
        for row in self.rows:
            if not after < row.place < Place(part.end):
                continue
            stop.check(part.key)
            self.hook("row")
            self.read.append(row.key)
            unit = find(row.tenant, MONTH.label) if row.tenant else None
            if unit is None or unit.left:
                skipped["other_tenant" if unit is None else "left"] += 1
                continue
            if row.odd:
                report(UnitFinding("odd", row.key, "reported by the fake", unit=unit))
            batch.append((row, unit))
            if len(batch) == self.chunk_rows:
                emit(_mixed(next(sequence), batch, row.place, skipped))
                batch, skipped = [], Counter()
        emit(_mixed(next(sequence), batch, Place(part.end), skipped))
        self.hook("read ends")


def _mixed(
    sequence: int, batch: Sequence[tuple[Lying, OpenUnit]], place: Place, skipped: Counter[str]
) -> MixedChunk:
    offsets, body = array("Q"), b""
    for row, unit in batch:
        offsets.append(len(body))
        document = json.dumps({"id": row.key, "tenant": row.tenant}).encode()
        body += unit.framing.prefix(1) + document + b"\n"
    return MixedChunk(
        sequence=sequence,
        body=body,
        offsets=offsets,
        keys=tuple(row.key for row, _ in batch),
        cursor=Cursor("place", str(place)),
        units=array("I", (unit.number for _, unit in batch)),
        skipped=dict(skipped),
    )


@dataclass(frozen=True)
class _Framing:
    index: str

    def prefix(self, version: int) -> bytes:
        return json.dumps({"_index": self.index}).encode() + b"\n"


class FakeMixedTarget:
    """Documents by index and id.

    :param rejects: keys that are refused.
    :param not_ours: indices that belong to somebody else.
    """

    def __init__(
        self,
        *,
        rejects: frozenset[str] = frozenset(),
        not_ours: frozenset[str] = frozenset(),
        hook: Hook = nothing_happens,
    ) -> None:
        self.rejects, self.not_ours, self.hook = rejects, not_ours, hook
        self.indices: dict[str, dict[str, Any]] = {}
        self.prepared: Counter[str] = Counter()
        self._lock = threading.Lock()

    def framing_of(self, plan: UnitPlan) -> Framing:
        return _Framing(plan.index)

    def prepare(self, plan: UnitPlan) -> None:
        self.hook("prepare")
        if plan.index in self.not_ours:
            raise IndexConflict("somebody else's", where=plan.index)
        self.prepared[plan.index] += 1
        self.indices.setdefault(plan.index, {})

    def write_mixed(self, chunk: Chunk, *, stop: Stop) -> WriteResult:
        assert chunk.count, "an empty bulk is an error for real engines"
        self.hook("write")
        rejected = []
        with self._lock:
            for position, key in enumerate(chunk.keys):
                action, document = chunk.document(position).splitlines()
                if key in self.rejects:
                    rejected.append(Rejected(key, 400, "mapping", "refused", document))
                else:
                    self.indices[json.loads(action)["_index"]][key] = json.loads(document)
        self.hook("answer")
        return WriteResult(chunk.count - len(rejected), tuple(rejected))

    def finish(self, plan: UnitPlan) -> None:
        self.hook("finish")


@dataclass(slots=True)
class FakeSweepLedger:
    """What outlives attempts at one part.

    :param taken: units that a newer attempt has.
    """

    start: Place
    attempt: int = 0
    record: PartRecord | None = None
    swept: bool = False
    opened: set[str] = field(default_factory=set)
    left: dict[str, str] = field(default_factory=dict)
    letters: dict[tuple[str, str], Rejected] = field(default_factory=dict)
    findings: set[tuple[str, str]] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    on_checkpoint: Callable[[PartRecord], None] = lambda record: None
    transaction: threading.Lock = field(default_factory=threading.Lock)

    @property
    def previous(self) -> PartRecord:
        return self.record or PartRecord(self.start)


class FakePartJournal:
    """The journal of one attempt."""

    def __init__(self, ledger: FakeSweepLedger, *, hook: Hook = nothing_happens) -> None:
        self.ledger, self.hook = ledger, hook
        ledger.attempt += 1
        self.attempt = ledger.attempt

    def _fence(self) -> None:
        if self.ledger.attempt != self.attempt:
            raise Fenced(f"attempt {self.attempt} was taken over")

    def _unit(self, plan: UnitPlan) -> None:
        if plan.key in self.ledger.taken:
            raise Fenced("a newer attempt has the unit", where=plan.key)

    def open(self, plan: UnitPlan) -> bool:
        self.hook("open")
        with self.ledger.transaction:
            self._fence()
            self.ledger.opened.add(plan.key)
        return plan.key not in self.ledger.taken

    def leave(self, plan: UnitPlan, reason: str) -> None:
        with self.ledger.transaction:
            self._fence()
            self.ledger.left[plan.key] = reason

    def dead_letters(self, plan: UnitPlan, rejected: Sequence[Rejected]) -> None:
        self.hook("dead letters")
        with self.ledger.transaction:
            self._unit(plan)
            self.ledger.letters |= {(plan.key, item.key): item for item in rejected}

    def findings(self, plan: UnitPlan, found: Sequence[SourceFinding]) -> None:
        self.hook("findings")
        with self.ledger.transaction:
            self._unit(plan)
            self.ledger.findings |= {(plan.key, item.key) for item in found}

    def checkpoint(self, record: PartRecord, *, swept: bool) -> None:
        self.hook("checkpoint")
        with self.ledger.transaction:
            self._fence()
            known: Mapping[str, Counters] = self.ledger.previous.units
            whole = PartRecord(
                record.place, record.counters, record.skipped, {**known, **record.units}
            )
            self.ledger.on_checkpoint(whole)
            self.ledger.record, self.ledger.swept = whole, swept
        self.hook("kept checkpoint")

    def progress(self, progress: Progress) -> None:
        self.hook("progress")


def documents(target: FakeMixedTarget) -> Iterator[tuple[str, str]]:
    """(index, id) of everything the target holds."""
    for index, held in target.indices.items():
        for key in held:
            yield index, key
