"""Purges and restores of copied, proven and cut-over units, each on a database of its own."""

from __future__ import annotations

from typing import Any

from benchmarks.child import Cost
from benchmarks.datasets import Dataset
from benchmarks.errors import BenchmarkError
from benchmarks.rig import NODES, READY, Rig

STREAMS = ("workflow_runs", "workflow_app_logs", NODES)

_PROVEN, _PURGES = "proven", "purges"
"""Databases of the ledger: as it is before a purge, and what a purge works with."""


def fresh(rig: Rig, name: str) -> Dataset:
    """A data set with the rows of ``leaving``, none of which has left; copied, proven and cut over
    before.
    """
    rig.once(READY, lambda: _make_ready(rig))
    return rig.datasets.again(name)


def _make_ready(rig: Rig) -> bool:
    data = rig.datasets.get("leaving")
    rig.ledger.drop_database(_PROVEN)
    cost = rig.run(_job(rig, data, "ready", ledger=_PROVEN))
    if cost.found["verdicts"] != ["equal"]:
        raise BenchmarkError(f"the copy of {data.name} isn't equal to it: {cost.found}")
    return True


def purge_job(
    rig: Rig, data: Dataset, *, before: str | None = None, sessions: int = 1
) -> dict[str, Any]:
    """Ours, with a ledger that knows of no purge yet.

    :param before: only periods that are over by this day.
    :param sessions: that delete at a time; one, unless a configuration says otherwise.
    """
    rig.ledger.drop_database(_PURGES)
    rig.ledger.create_database(_PURGES, template=_PROVEN)
    return _job(rig, data, "purge", ledger=_PURGES) | {"before": before, "sessions": sessions}


def purge(rig: Rig, data: Dataset, *, sessions: int = 1) -> Cost:
    """All of it by ours."""
    return whole(rig.run(purge_job(rig, data, sessions=sessions)))


def whole(cost: Cost) -> Cost:
    """The same. :raises BenchmarkError: not every row of the plan left."""
    found = cost.found
    if found["stayed"] or not found["planned"] or sum(found["rows"].values()) != found["planned"]:
        raise BenchmarkError(f"the purge left rows behind: {found}")
    return cost


def restore(rig: Rig, data: Dataset, *, before: str) -> Cost:
    """Bring back what the last purge took of these periods."""
    return rig.run(_job(rig, data, "restore", ledger=_PURGES) | {"before": before})


def nodes_rate(cost: Cost) -> float:
    """Node executions per second of a purge, ours or by hand."""
    found = cost.found
    return float((found["nodes"] if "nodes" in found else found["rows"][NODES]) / cost.seconds)


def by_hand(rig: Rig, data: Dataset, *, batches: int | None = None) -> Cost:
    """The same rows, or some of them, as existing cleaners delete them."""
    return rig.run(
        {
            "job": "purge_by_hand",
            "dsn": data.dsn,
            "tenant": data.tenants[0],
            "first": data.first,
            "end": data.end,
            "batches": batches,
        }
    )


def _job(rig: Rig, data: Dataset, step: str, *, ledger: str) -> dict[str, Any]:
    return rig.job("purge", data, streams=STREAMS, ledger=ledger, tenant=data.tenants[0], step=step)
