"""The ports between the core and the outside: what a source, a target and a journal must do.

Any source pairs with any target. What a store can't do is a declared capability that planning
checks, not a failure at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.fingerprint import Bucket, Summary
from airflow_provider_logmigrate.core.plan import Estimate, UnitPlan
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.core.unit import Period


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open range of event time inside a unit, UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What to read of a unit.

    :param ranges: parts of the unit, in order; the whole period for a first copy, differing
        hours for a repair.
    :param after: resume behind this row.
    :param repair: the ranges are differing hours: every row must be found, also those that a
        strategy which follows parents can't see.
    :param keys: of these rows only, those of them that are settled and in the ranges; in any
        order, without a position to resume from. ``None``: all rows of the ranges.
    :param chunk_bytes: size at which a chunk is closed, asked anew for each; ``None``: the
        source's own choice.
    :param page_rows: most rows of one statement, asked anew for each: what the user's limits let
        pass in seconds, so that no statement stays open for minutes because of them.
    :param before_page: called before each statement that reads rows, with no transaction open;
        waits as long as the source has to be spared, and raises when the copy should end.
    """

    plan: UnitPlan
    ranges: tuple[TimeRange, ...]
    after: Cursor | None = None
    repair: bool = False
    keys: tuple[str, ...] | None = None
    chunk_bytes: Callable[[], int] | None = field(default=None, compare=False)
    page_rows: Callable[[], int | None] | None = field(default=None, compare=False)
    before_page: Callable[[], None] | None = field(default=None, compare=False)


class Framing(Protocol):
    """How a target wants a document framed."""

    def prefix(self, version: int) -> bytes:
        """Bytes before a document, with one ``%b`` for the key as a quoted JSON string.

        :param version: of the page that is being read, in microseconds since 1970.
        """


@dataclass(frozen=True, slots=True)
class KeyPrint:
    """Key and fingerprint halves of one row, as both sides list them."""

    key: str
    high: int
    low: int


@dataclass(frozen=True, slots=True)
class SourceFinding:
    """Something odd found while reading, which is reported but stops nothing.

    :param kind: for example ``offload_missing``.
    """

    kind: str
    key: str
    detail: str


class RowReader(Protocol):
    """Where chunks come from: what copying needs of a source."""

    def read(
        self,
        request: ReadRequest,
        *,
        framing: Framing,
        emit: Callable[[Chunk], None],
        report: Callable[[SourceFinding], None],
        stop: Stop,
    ) -> None:
        """Push chunks in order of the cursor until the ranges are exhausted.

        No transaction outlives a page. Returns only when everything was emitted.

        :raises SourceUnavailable: an outage, after bounded retries.
        """


class Source(RowReader, Protocol):
    """A store that rows are read from."""

    def survey(
        self, stream: str, tenant: str, periods: Sequence[Period]
    ) -> Mapping[Period, Estimate]:
        """Rows and bytes of a tenant's periods, in one pass; periods without rows are left out."""

    def summarise(
        self,
        plan: UnitPlan,
        *,
        upper: datetime,
        prints: bool = True,
        hours: Collection[datetime] | None = None,
        minutes: bool = False,
    ) -> Summary:
        """Hourly buckets of the settled rows before ``upper``, in one pass.

        :param prints: False: numbers of rows only, all sums are 0.
        :param hours: only these matter; others may be there or not.
        :param minutes: buckets of minutes instead.
        """

    def keys(
        self,
        plan: UnitPlan,
        *,
        hours: Sequence[datetime],
        upper: datetime,
        minutes: Collection[datetime] | None = None,
    ) -> Iterator[KeyPrint]:
        """Keys and fingerprints of some hours' settled rows, ordered by the key's bytes.

        :param minutes: of these minutes only.
        """

    def rows(
        self, plan: UnitPlan, keys: Sequence[str]
    ) -> Iterator[tuple[str, Mapping[str, str | None]]]:
        """Rows by key as the database's own text, column by column, for the deep sample."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One document the target will never take as it is."""

    key: str
    status: int
    kind: str
    reason: str
    document: bytes


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Outcome of one chunk: every document is in one of the counts.

    :param superseded: of the acknowledged ones, those where the target holds a newer version.
    :param note: why it took long (retries, pressure), empty otherwise.
    :param seconds: how long the target worked on it, waits between retries left out; 0 if the
        target can't tell.
    :param refusals: how often the target refused it for now, all of it or in part.
    :param split: it was taken only in smaller pieces.
    """

    acknowledged: int
    rejected: tuple[Rejected, ...] = ()
    superseded: int = 0
    note: str = ""
    seconds: float = 0.0
    refusals: int = 0
    split: bool = False


class Writer(Framing, Protocol):
    """Where chunks go."""

    def write(self, plan: UnitPlan, chunk: Chunk, *, stop: Stop) -> WriteResult:
        """Write one chunk; called from several threads at once. Idempotent.

        Returns when every document is acknowledged or rejected.

        :raises TargetUnavailable: after bounded retries.
        :raises TargetBlocked: the engine refuses writes altogether.
        """


class Loader(Writer, Protocol):
    """What copying needs of a target."""

    def prepare(self, plan: UnitPlan) -> None:
        """Make the unit's index ready for a load; recorded, so that :meth:`finish` undoes it.

        Idempotent. :raises IndexConflict: the name is taken by something that isn't ours.
        """

    def finish(self, plan: UnitPlan) -> None:
        """Give the index its serving settings and make everything visible. Idempotent."""


class Target(Loader, Protocol):
    """A store that documents are written to."""

    def summarise(self, plan: UnitPlan, *, prints: bool = True) -> Summary:
        """Hourly buckets of everything the unit's index holds, in one request.

        :param prints: False: numbers of documents only, all sums are 0.
        """

    def minutes(self, plan: UnitPlan, *, hours: Sequence[datetime]) -> Mapping[datetime, Bucket]:
        """Buckets of some hours' documents by minute."""

    def keys(
        self,
        plan: UnitPlan,
        *,
        hours: Sequence[datetime],
        minutes: Collection[datetime] | None = None,
    ) -> Iterator[KeyPrint]:
        """Ids and fingerprints of some hours' documents, ordered by the id's bytes.

        :param minutes: of these minutes only.
        """

    def sample(self, plan: UnitPlan, *, size: int, seed: int) -> list[tuple[str, dict[str, Any]]]:
        """Random documents: (id, source document)."""

    def stored(self, plan: UnitPlan, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The unit's documents by key, as they were written to the byte where the store keeps them
        so; those that aren't there are left out. Called from several threads at once.
        """


class Journal(Protocol):
    """Where an attempt keeps what must survive it. Every call may raise ``Fenced``."""

    def dead_letters(self, plan: UnitPlan, rejected: Sequence[Rejected]) -> None:
        """Keep rejected documents; returns when they are durable. Idempotent per key."""

    def findings(self, plan: UnitPlan, found: Sequence[SourceFinding]) -> None:
        """Keep findings of the read; idempotent."""

    def checkpoint(
        self,
        plan: UnitPlan,
        *,
        cursor: Cursor | None,
        counters: Counters,
        upper: datetime,
        copied: bool,
    ) -> None:
        """Keep the position; returns when it is durable."""

    def progress(self, progress: Progress) -> None:
        """Show the state to people."""


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """Bounds of one copy.

    :param in_flight: bulks sent at the same time, at most; three fill one node.
    :param chunk_bytes: size of a bulk body, at most.
    :param documents_per_second: of one copying task; ``None``: no limit.
    :param bytes_per_second: the same in bytes of bulk bodies.
    :param checkpoint_seconds: at most this much copying is read again after a kill.
    :param max_rejected: dead letters per unit before the copy stops.
    :param max_rejected_share: share of rejected documents before the copy stops...
    :param share_after: ...once this many documents were tried.
    """

    in_flight: int = 3
    chunk_bytes: int = 4 << 20
    checkpoint_seconds: float = 1.0
    progress_seconds: float = 5.0
    max_rejected: int = 1000
    max_rejected_share: float = 0.5
    share_after: int = 200
    documents_per_second: float | None = None
    bytes_per_second: float | None = None

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise ValueError(f"in_flight is {self.in_flight}: without a sender a copy never ends")


@dataclass(frozen=True, slots=True)
class CopyOutcome:
    """What one attempt did to a unit."""

    counters: Counters
    resumed_from: Cursor | None = None
    findings: tuple[SourceFinding, ...] = field(default_factory=tuple)
