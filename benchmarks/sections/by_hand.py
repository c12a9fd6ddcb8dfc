"""Our backfill and the two programs as a user would write them, run in turn.

On the table as Dify makes it: none of its indices serves a tenant's month in order, and whoever
writes a loop of a few lines adds none to a production table.
"""

from __future__ import annotations

from benchmarks.rig import Rig
from benchmarks.sections.copying import rate
from benchmarks.sections.pairs import Pairs

DATA = "plain"


def beside(rig: Rig, method: str) -> Pairs:
    """Rates of ours and of one of them, in documents per second.

    Both compare with the same copies of ours, which stand between them.
    """
    ours, offset, parallel = rig.once("by hand", lambda: _measure(rig))
    return ours, {"offset": offset, "parallel": parallel}[method]


def _measure(rig: Rig) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    ours, offset, parallel = [], [], []
    for _ in range(rig.settings.repeats):
        offset.append(rate(rig.by_hand("offset", DATA)))
        ours.append(rate(rig.copy(DATA)))
        parallel.append(rate(rig.by_hand("parallel", DATA)))
    return tuple(ours), tuple(offset), tuple(parallel)
