"""What a purge does to others: a query by an index, over and over, before and meanwhile."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg

from benchmarks.results import Better
from benchmarks.rig import NODES, Rig
from benchmarks.section import Measured, Section
from benchmarks.sections import leaving

DATA, BEFORE = "leaving", "2025-02-01"
"""January leaves; the probe reads runs of February."""
PAUSE = 0.004
IDLE_SECONDS = 3.0
_RUNS = f"SELECT id FROM workflow_runs WHERE created_at >= '{BEFORE}' LIMIT 2000"
_PROBE = f"SELECT count(outputs) FROM {NODES} WHERE workflow_run_id = %s"
_WAITS = (
    "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float"
    " FROM pg_locks WHERE NOT granted"
)


def measure(rig: Rig) -> Measured:
    """The p95 during a purge as a share of what is allowed: twice the idle one and 1 ms."""
    during, idle, waits = [], [], []
    for _ in range(rig.settings.repeats):
        data = leaving.fresh(rig, DATA)
        with psycopg.connect(data.dsn, autocommit=True) as connection:
            probe = _Probe(connection)
            idle.append(probe.p95(until=_after(IDLE_SECONDS)))
            with (
                rig.child(leaving.purge_job(rig, data, before=BEFORE)) as child,
                ThreadPoolExecutor(1) as waiting,
            ):
                child.go()
                cost = waiting.submit(child.cost)
                during.append(probe.p95(until=cost.done))
                leaving.whole(cost.result())
        waits.append(probe.longest_wait)
    shares = [now / (2 * before + 1) for now, before in zip(during, idle, strict=True)]
    notes = (
        f"p95 {statistics.median(during):.2f} ms, idle {statistics.median(idle):.2f} ms",
        f"longest lock wait of any session: {1000 * max(waits):.0f} ms",
    )
    return Measured(statistics.median(shares), tuple(during), tuple(idle), notes)


class _Probe:
    """:ivar longest_wait: seconds; looked at after each query."""

    def __init__(self, connection: psycopg.Connection[tuple[object]]) -> None:
        self._connection = connection
        self._runs = [row[0] for row in connection.execute(_RUNS)]
        self._rng = random.Random(1)
        self.longest_wait = 0.0

    def p95(self, *, until: Callable[[], bool]) -> float:
        """Milliseconds."""
        taken = []
        while not until():
            began = time.perf_counter()
            self._connection.execute(_PROBE, [self._rng.choice(self._runs)]).fetchone()
            taken.append(1000 * (time.perf_counter() - began))
            [(waited,)] = self._connection.execute(_WAITS).fetchall()
            self.longest_wait = max(self.longest_wait, float(str(waited)))
            time.sleep(PAUSE)
        return statistics.quantiles(taken, n=20)[-1]


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


SECTION = Section(
    name="purge_probe_p95",
    title="p95 of a query by run id during a purge",
    unit="of twice idle + 1 ms",
    runs="ms",
    required=1.0,
    better=Better.LOWER,
    measure=measure,
)
