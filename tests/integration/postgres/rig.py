"""Drives the PostgreSQL source as the copy loop does, and takes its chunks apart without trust."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import parse_dsn

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.plan import ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.ports import ReadRequest, SourceFinding, TimeRange
from airflow_provider_logmigrate.core.stream import Stream
from airflow_provider_logmigrate.core.unit import Period, Unit
from airflow_provider_logmigrate.stores.postgres.offload import ContentReader
from airflow_provider_logmigrate.stores.postgres.preflight import Preflight, preflight
from airflow_provider_logmigrate.stores.postgres.session import PostgresEndpoint, Sessions
from airflow_provider_logmigrate.stores.postgres.source import PostgresSource

QUICK = Backoff(attempts=3, first=0.02, cap=0.05)
JANUARY = Period.from_label("2025-01")
FEBRUARY = Period.from_label("2025-02")
ALL_STRATEGIES = tuple(ReadStrategy)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type, misc]


def endpoint(dsn: str, **changes: Any) -> PostgresEndpoint:
    parts = parse_dsn(dsn)
    made = PostgresEndpoint(
        host=parts["host"],
        port=int(parts["port"]),
        user=parts["user"],
        dbname=parts["dbname"],
        password=parts["password"],
        label="dify_db",
    )
    return replace(made, **changes)


def sessions(dsn: str, **changes: Any) -> Sessions:
    return Sessions(endpoint(dsn, **changes), backoff=QUICK)


def execute(dsn: str, *statements: str | tuple[str, Sequence[Any]]) -> list[Any]:
    """Run statements; the rows of the last one, if it gives any."""
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                text, values = (statement, None) if isinstance(statement, str) else statement
                cursor.execute(text, values)
            return cursor.fetchall() if cursor.description else []


class Framing:
    """A bulk action whose version can be read back."""

    def prefix(self, version: int) -> bytes:
        return b'{"index":{"_id":%%b,"version":%d}}\n' % version


class Files:
    """An object storage that is a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []

    def read(self, key: str, *, limit: int) -> bytes | None:
        self.asked.append(key)
        path = self.root / key
        return path.read_bytes()[:limit] if path.exists() else None


class _Object(dict[str, Any]):
    """A JSON object that remembers if a name stood in it twice."""

    repeated = False


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    made.repeated = len(made) != len(pairs)
    return made


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


@contextmanager
def deep_json() -> Iterator[None]:
    """Room for the parser: the standard library's nests on the interpreter's stack."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def strict_object(line: bytes) -> _Object:
    """Parse one line as standard JSON; no name may stand twice at the top."""
    with deep_json():
        parsed = json.loads(line, object_pairs_hook=_object, parse_constant=_refuse)
    assert isinstance(parsed, _Object), line[:100]
    assert not parsed.repeated, line[:300]
    return parsed


@dataclass(frozen=True, slots=True)
class Document:
    """One framed document, taken apart."""

    key: str
    version: int
    source: Mapping[str, Any]
    line: bytes

    @property
    def print(self) -> tuple[int, int]:
        return self.source["logmigrate"]["high"], self.source["logmigrate"]["low"]


@dataclass(slots=True)
class Reading:
    """Everything a read pushed."""

    chunks: list[Chunk] = field(default_factory=list)
    findings: list[SourceFinding] = field(default_factory=list)

    @property
    def documents(self) -> list[Document]:
        return [document for chunk in self.chunks for document in documents_of(chunk)]

    @property
    def keys(self) -> list[str]:
        return [key for chunk in self.chunks for key in chunk.keys]

    def by_key(self) -> dict[str, Document]:
        found = {document.key: document for document in self.documents}
        assert len(found) == len(self.keys), "a key came twice"
        return found


def documents_of(chunk: Chunk) -> list[Document]:
    """The chunk's documents; the chunk must be exactly two lines per document."""
    assert chunk.body.endswith(b"\n")
    lines = chunk.body[:-1].split(b"\n")
    assert len(lines) == 2 * chunk.count
    assert b"\r" not in chunk.body
    found = []
    for number, key in enumerate(chunk.keys):
        action, line = lines[2 * number : 2 * number + 2]
        assert chunk.document(number) == action + b"\n" + line + b"\n"
        parsed = strict_object(action)
        assert list(parsed) == ["index"]
        assert list(parsed["index"]) == ["_id", "version"]
        assert parsed["index"]["_id"] == key
        found.append(Document(key, parsed["index"]["version"], strict_object(line), line))
    return found


class Rig:
    """A source over one database.

    :param forced: the strategy asked for; ``None`` leaves the choice to preflight.
    """

    def __init__(
        self,
        dsn: str,
        *streams: Stream,
        forced: ReadStrategy | None = None,
        content: ContentReader | None = None,
        inline_limit: int = 1 << 20,
        page_rows: int = 20_000,
        chunk_bytes: int = 4 << 20,
        **changes: Any,
    ) -> None:
        self.sessions = sessions(dsn, **changes)
        self.found: dict[str, Preflight] = {}
        for stream in streams:
            looked = preflight(self.sessions, stream, forced=forced)
            if looked is not None:
                self.found[stream.name] = looked
        self.source = PostgresSource(
            self.sessions,
            self.found,
            page_rows=page_rows,
            chunk_bytes=chunk_bytes,
            content=content,
            inline_limit=inline_limit,
        )

    def plan(
        self,
        stream: str,
        tenant: str,
        period: Period = JANUARY,
        *,
        strategy: ReadStrategy | None = None,
    ) -> UnitPlan:
        return UnitPlan(
            unit=Unit(stream, tenant, period),
            alias="alias",
            tenant_alias="tenant",
            index="index",
            definition="definition",
            strategy=strategy or self.found[stream].strategy,
            strategy_reason="",
        )

    def read(
        self,
        plan: UnitPlan,
        *,
        ranges: Sequence[TimeRange] = (),
        after: Cursor | None = None,
        repair: bool = False,
        on_chunk: Callable[[Chunk], None] | None = None,
        stop: Stop | None = None,
        into: Reading | None = None,
    ) -> Reading:
        """Read a unit (or ranges of it) to the end.

        :param on_chunk: called with each chunk after it was kept.
        :param into: keeps what came before an error.
        """
        reading = into if into is not None else Reading()

        def emit(chunk: Chunk) -> None:
            reading.chunks.append(chunk)
            if on_chunk is not None:
                on_chunk(chunk)

        period = plan.unit.period
        self.source.read(
            ReadRequest(
                plan, tuple(ranges) or (TimeRange(period.start, period.end),), after, repair
            ),
            framing=Framing(),
            emit=emit,
            report=reading.findings.append,
            stop=stop or Stop(),
        )
        return reading


def own_stream(table: str = "events", **changes: Any) -> Stream:
    """A stream as a user declares it for a table of their own."""
    stream = Stream(
        name="events",
        slug="events",
        table=table,
        key="id",
        event_time="at",
        tenant_column="tenant",
    )
    return replace(stream, **changes)
