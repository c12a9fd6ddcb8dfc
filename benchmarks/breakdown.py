"""``python -m benchmarks.breakdown``: where a row's processor time goes, part by part.

The backend's parts are told apart by COPY statements that want more and more of a row, Python's by
jobs that do more and more with it. Differences of medians, so small ones are noise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from benchmarks import page
from benchmarks.child import Cost
from benchmarks.jobs.stages import BACKEND, PYTHON
from benchmarks.rig import Rig
from benchmarks.sections.copying import copies
from benchmarks.settings import Settings
from benchmarks.statistics import spread


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and put the table on the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.breakdown", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    small = "" if options.scale >= 1 else "small"
    settings = Settings(root=Settings().root / small, scale=options.scale, repeats=options.repeats)
    console = Console(stderr=True)
    with Rig(settings, lambda text: console.print(text, markup=False)) as rig:
        lines = [*_table(rig, "PostgreSQL", BACKEND), "", *_table(rig, "Python", PYTHON)]
        lines += ["", _whole(copies(rig))]
    text = "\n".join(lines) + "\n"
    Console().print(text, markup=False, soft_wrap=True)
    if settings.judged:
        page.replace_between(page.PAGE, "breakdown", text)
    return 0


def _table(rig: Rig, side: str, stages: Sequence[str]) -> list[str]:
    data = rig.datasets.get("bench")
    found: dict[str, list[float]] = {stage: [] for stage in stages}
    for _ in range(rig.settings.repeats):
        for stage in stages:
            job = rig.job("stages", data, url="", tenant=data.tenants[0], stage=stage)
            cost = rig.run(job)
            spent = cost.backend if side == "PostgreSQL" else cost.cpu
            found[stage].append(1e6 * spent / cost.found["rows"])
    lines = [f"| {side}: up to and with | us per row | more than before |", "|---|---|---|"]
    before = 0.0
    for stage, values in found.items():
        median = spread(values).median
        lines.append(f"| {stage} | {median:.1f} | {median - before:+.1f} |")
        before = median
    return lines


def _whole(found: list[Cost]) -> str:
    python = spread([1e6 * cost.cpu / cost.found["rows"] for cost in found]).median
    backend = spread([1e6 * cost.backend / cost.found["rows"] for cost in found]).median
    return (
        f"The whole copy, with sending, answers and journal: Python {python:.1f}, "
        f"PostgreSQL {backend:.1f}."
    )


if __name__ == "__main__":
    sys.exit(main())
