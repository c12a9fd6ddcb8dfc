"""``python -m benchmarks.jobs``: one measured process.

Line 1 on stdin is the job's JSON; ``READY`` comes back when everything is open, any further line
starts the work, and the answer is one line of JSON with what the work cost.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path

_STATUS = Path("/proc/self/status")


def main() -> None:
    """Run one job."""
    spec = json.loads(sys.stdin.readline())
    # Whatever the work prints must not get between the two lines the parent reads.
    answer, sys.stdout = sys.stdout, sys.stderr
    if cpus := spec.get("cpus"):
        os.sched_setaffinity(0, cpus)
    job = importlib.import_module(f"benchmarks.jobs.{spec['job']}")
    with job.prepared(spec) as work:
        gc.collect()
        print("READY", file=answer, flush=True)
        sys.stdin.readline()
        idle = _megabytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        cpu, began = time.process_time(), time.perf_counter()
        found = work()
        cost = {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "idle_mb": idle,
            "peak_mb": _megabytes("VmHWM"),
        }
    print(json.dumps(cost | {"found": found}), file=answer, flush=True)


def _megabytes(name: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"{_STATUS} has no {name}")


if __name__ == "__main__":
    main()
