"""Rows read again after a SIGKILL in the middle of a copy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.child import Cost
from benchmarks.errors import BenchmarkError
from benchmarks.jobs.counting import count_in
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections.copying import copies

LEDGER = "resume"
KILL_AT = 0.6
"""Share of the rows that have been read when the process is killed."""


def measure(rig: Rig) -> Measured:
    """How many seconds of copying are read again, at the killed copy's own rate."""
    found = [_read_again(rig) for _ in range(rig.settings.repeats)]
    ours = tuple(again / rate for again, rate in found)
    note = f"{max(again for again, _ in found):,.0f} rows at most"
    return Measured(max(ours), ours, (), (note,))


def _read_again(rig: Rig) -> tuple[int, float]:
    """Rows that were read twice, and the rows per second up to the kill."""
    data = rig.datasets.get("bench")
    counter = rig.settings.root / "rows-read"
    rig.ledger.drop_database(LEDGER)  # what earlier copies left there isn't this one's checkpoint
    job = rig.job("copy", data, ledger=LEDGER, tenant=data.tenants[0], counter=str(counter))
    rows = int(copies(rig)[0].found["rows"])
    with rig.child(job) as child:
        began = time.monotonic()
        child.go()
        _wait(counter, int(rows * KILL_AT))
        child.kill()
        took = time.monotonic() - began
        before = count_in(counter)
    cost = _resume(rig, job)
    if cost.found["rows"] != rows:
        raise BenchmarkError(f"{rows} rows, but the resumed copy ended with {cost.found}")
    return before + count_in(counter) - rows, before / took


def _wait(counter: Path, rows: int) -> None:
    deadline = time.monotonic() + 120
    while (seen := count_in(counter)) < rows:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"the copy to be killed is at {seen} rows after two minutes")
        time.sleep(0.02)


def _resume(rig: Rig, job: dict[str, Any]) -> Cost:
    return rig.run(job | {"resume": True})


SECTION = Section(
    name="resume_reread",
    title="rows read again after SIGKILL, as time of copying",
    unit="s of copying",
    runs="s of copying",
    required=3.0,
    better=Better.LOWER,
    measure=measure,
)
