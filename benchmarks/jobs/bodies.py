"""Writes the unit's documents as bulk bodies into files, once: what the ceiling then sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.ports import ReadRequest, TimeRange
from benchmarks.jobs.opening import opened, plan_of
from benchmarks.jobs.read import _ignore


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Plan the unit; keep the body its index is created with."""
    folder = Path(spec["folder"])
    with opened(spec) as bench:
        [unit] = plan_of(bench, spec["tenant"]).units
        (folder / "index.json").write_text(json.dumps(unit.body))
        counts: list[int] = []

        def emit(chunk: Chunk) -> None:
            (folder / f"{len(counts):05}.ndjson").write_bytes(chunk.body)
            counts.append(chunk.count)

        def work() -> dict[str, Any]:
            part = TimeRange(unit.unit.period.start, unit.unit.period.end)
            bench.source.read(
                ReadRequest(unit, (part,)),
                framing=bench.target,
                emit=emit,
                report=_ignore,
                stop=Stop(),
            )
            return {"counts": counts}

        yield work
