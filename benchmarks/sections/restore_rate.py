"""How fast purged rows come back, proven."""

from __future__ import annotations

import statistics

from benchmarks.errors import BenchmarkError
from benchmarks.results import Better
from benchmarks.rig import Rig
from benchmarks.section import Measured, Section
from benchmarks.sections import leaving

DATA, BEFORE = "leaving", "2025-02-01"


def measure(rig: Rig) -> Measured:
    """Rows of all tables per second: a month of whole runs."""
    rates, grown, rows = [], 0.0, 0
    for _ in range(rig.settings.repeats):
        data = leaving.fresh(rig, DATA)
        gone = leaving.whole(rig.run(leaving.purge_job(rig, data, before=BEFORE)))
        cost = leaving.restore(rig, data, before=BEFORE)
        rows = cost.found["rows"]
        if rows != gone.found["planned"]:
            raise BenchmarkError(f"{gone.found['planned']} rows left, {rows} came back")
        rates.append(rows / cost.seconds)
        grown = max(grown, cost.grown_mb)
    note = f"{rows:,} rows; the process grew by {grown:.0f} MB at most"
    return Measured(statistics.median(rates), tuple(rates), (), (note,))


SECTION = Section(
    name="restore_rate",
    title="restore of a purged month of whole runs",
    unit="rows/s",
    runs="rows/s",
    required=10_000.0,
    better=Better.HIGHER,
    measure=measure,
)
