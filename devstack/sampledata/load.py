"""Load a profile into a PostgreSQL database, with COPY, and its files into a folder.

One transaction: after a failure the database is as it was (files written so far stay; the next load
writes them again). Rows are generated in this thread while another sends finished blocks, and
secondary indexes are built after the rows where the load makes the tables itself.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from devstack.errors import DevstackError
from devstack.sampledata.generate import Bundle, generate
from devstack.sampledata.hostile import Value
from devstack.sampledata.profiles import Profile
from devstack.sampledata.records import Row
from devstack.sampledata.schema import (
    COLUMNS,
    DifySchema,
    index_statements,
    table_statements,
)
from devstack.sampledata.summary import Counting, Counts

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

_BLOCK_CHARACTERS = 4_000_000
_BLOCKS_IN_FLIGHT = 2
_PROGRESS_EVERY = 2_000

Progress = Callable[[int, int], None]
"""Called with the rows generated so far and the rough number of all rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """What a load did.

    :param profile: the profile loaded
    :param schema: the schema variant
    :param counts: rows by table and unit, counted by the generator
    :param copied_bytes: bytes sent to PostgreSQL
    :param seconds: duration of the whole load
    """

    profile: Profile
    schema: DifySchema
    counts: Counts
    copied_bytes: int
    seconds: float


def load(
    dsn: str,
    profile: Profile,
    schema: DifySchema,
    files_root: Path,
    progress: Progress | None = None,
) -> LoadSummary:
    """Create the tables where they are missing, fill them, and write the files.

    :param dsn: libpq connection string or URI of the database
    :param profile: what to generate
    :param schema: the schema variant; tables that exist must be of this variant
    :param files_root: root of the object storage; files go to the paths in ``upload_files.key``
    :param progress: called now and then with (rows generated, rough number of all rows)
    :raises DevstackError: where some of the tables exist and others don't
    :raises psycopg2.Error: where the database refuses; it is unchanged then
    """
    began = time.monotonic()
    conn = psycopg2.connect(dsn, application_name="logmigrate-sampledata")
    try:
        with conn, conn.cursor() as cur:
            cur.execute("SET LOCAL synchronous_commit = off")
            cur.execute("SET LOCAL maintenance_work_mem = '128MB'")
            fresh = _create_tables(cur, schema)
            counting = Counting(schema)
            copied = _copy(cur, _watched(profile, schema, counting, files_root, progress), schema)
            for statement in index_statements(schema) if fresh else ():
                cur.execute(statement)
        _analyze(conn, schema)
    finally:
        conn.close()
    return LoadSummary(
        profile=profile,
        schema=schema,
        counts=counting.counts(),
        copied_bytes=copied,
        seconds=time.monotonic() - began,
    )


def copy_line(row: Row) -> str:
    """A row as a line of COPY's text format."""
    return "\t".join([_field(value) for value in row]) + "\n"


def _field(value: Value) -> str:
    if value is None:
        return "\\N"
    if not isinstance(value, str):
        return repr(value)
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "\n" in value:
        value = value.replace("\n", "\\n")
    if "\t" in value:
        value = value.replace("\t", "\\t")
    if "\r" in value:
        value = value.replace("\r", "\\r")
    return value


def _create_tables(cur: cursor, schema: DifySchema) -> bool:
    """Create the tables unless they are there; whether they were created."""
    cur.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename = ANY(%s)",
        (list(COLUMNS[schema]),),
    )
    found = {name for (name,) in cur.fetchall()}
    if found == set(COLUMNS[schema]):
        return False
    if found:
        raise DevstackError(
            f"schema public has the tables {', '.join(sorted(found))} but not "
            f"{', '.join(sorted(set(COLUMNS[schema]) - found))}: not a Dify schema of the variant "
            f"{schema.value!r}. Load into an empty database, or name the other variant."
        )
    for statement in table_statements(schema):
        cur.execute(statement)
    return True


def _watched(
    profile: Profile,
    schema: DifySchema,
    counting: Counting,
    files_root: Path,
    progress: Progress | None,
) -> Iterable[Bundle]:
    """The bundles, counted, with their files written and progress reported."""
    done = reported = 0
    for bundle in generate(profile, schema):
        counting.add(bundle)
        for file in bundle.files:
            if file.content is not None:
                path = files_root / file.key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content)
        yield bundle
        done += sum(map(len, bundle.rows.values()))
        if progress is not None and done - reported >= _PROGRESS_EVERY:
            reported = done
            progress(done, max(done, profile.about_rows))
    if progress is not None:
        progress(done, done)


def _copy(cur: cursor, bundles: Iterable[Bundle], schema: DifySchema) -> int:
    """Send all rows in blocks; the number of bytes sent. The first refusal ends it."""
    lines: dict[str, list[str]] = {table: [] for table in COLUMNS[schema]}
    sizes = dict.fromkeys(lines, 0)
    pending: list[Future[int]] = []
    copied = 0

    def send(table: str, block: list[str]) -> int:
        data = "".join(block).encode()
        names = ", ".join(f'"{column}"' for column in COLUMNS[schema][table])
        cur.copy_expert(f"COPY public.{table} ({names}) FROM STDIN", io.BytesIO(data), size=1 << 18)
        return len(data)

    with ThreadPoolExecutor(max_workers=1) as sender:

        def flush(table: str) -> int:
            pending.append(sender.submit(send, table, lines[table]))
            lines[table], sizes[table] = [], 0
            return pending.pop(0).result() if len(pending) > _BLOCKS_IN_FLIGHT else 0

        for bundle in bundles:
            for table, rows in bundle.rows.items():
                new = [copy_line(row) for row in rows]
                lines[table] += new
                sizes[table] += sum(map(len, new))
                if sizes[table] > _BLOCK_CHARACTERS:
                    copied += flush(table)
        for table, rest in lines.items():
            if rest:
                copied += flush(table)
        return copied + sum(future.result() for future in pending)


def _analyze(conn: connection, schema: DifySchema) -> None:
    """Give the planner statistics: without them the first page queries are planned blindly."""
    with conn, conn.cursor() as cur:
        cur.execute("ANALYZE " + ", ".join(f"public.{table}" for table in COLUMNS[schema]))
