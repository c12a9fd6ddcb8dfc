"""Which processors a running server may use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.errors import BenchmarkError
from devstack.process import BackgroundProcess

ENGINE_CPU, REST_CPU = 0, 1
"""Positions among the processors in use: the engine on one, everything else on the other."""


def halves() -> tuple[set[int], set[int]]:
    """One processor for the engine, one for the source and the worker.

    :raises BenchmarkError: there is one only.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchmarkError("pinning needs two processors: this process may use one only")
    return {usable[ENGINE_CPU]}, {usable[REST_CPU]}


@contextlib.contextmanager
def pinned(process: BackgroundProcess, cpus: set[int]) -> Iterator[None]:
    """Keep all threads of a server, and what it starts meanwhile, on the given processors."""
    before = os.sched_getaffinity(0)
    _pin(process, cpus)
    try:
        yield
    finally:
        _pin(process, before)


def _pin(process: BackgroundProcess, cpus: set[int]) -> None:
    for member in process.members():
        for thread in Path(f"/proc/{member.pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cpus)
