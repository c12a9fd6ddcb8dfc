"""A read's memory is a chunk and a row, however many rows there are and however large they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_logmigrate.core.plan import ReadStrategy
from tests.integration.postgres.rig import execute

REPOSITORY = Path(__file__).parents[3]
CHUNK = 4 << 20
ROW = 5_000_000
ROWS = 60
_CHILD = """
import json, resource, sys
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.ports import ReadRequest, TimeRange
from airflow_provider_logmigrate.core.clock import Stop
from tests.integration.postgres.rig import JANUARY, Framing, Rig, own_stream

rig = Rig(sys.argv[1], own_stream(), forced=ReadStrategy(sys.argv[2]), chunk_bytes=int(sys.argv[3]))
plan = rig.plan("events", "t")
seen = {"rows": 0, "bytes": 0, "largest": 0}

def emit(chunk):
    seen["rows"] += chunk.count
    seen["bytes"] += len(chunk.body)
    seen["largest"] = max(seen["largest"], len(chunk.body))

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
request = ReadRequest(plan, (TimeRange(JANUARY.start, JANUARY.end),))
rig.source.read(request, framing=Framing(), emit=emit, report=print, stop=Stop())
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(seen | {"grown": (after - before) * 1024}))
"""


@pytest.mark.parametrize("strategy", [ReadStrategy.KEYSET, ReadStrategy.BY_KEY])
def test_many_rows_of_five_megabytes_fit_in_little(database: str, strategy: ReadStrategy) -> None:
    execute(
        database,
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, v text)",
        # Stored compressed: 300 MB for the reader, next to nothing for the disk.
        f"INSERT INTO events SELECT n, 't', '2025-01-05', repeat('x', {ROW})"
        f" FROM generate_series(1, {ROWS}) n",
    )
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, database, strategy.value, str(CHUNK)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seen = json.loads(child.stdout)
    assert seen["rows"] == ROWS
    assert seen["bytes"] > ROWS * ROW
    assert seen["largest"] < CHUNK + ROW + 1000
    # libpq's buffer, the row, its fields, the document and the chunk: copies of one row each.
    assert seen["grown"] < 2 * CHUNK + 8 * ROW
