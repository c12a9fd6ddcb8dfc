"""Passes of a reconcile over what the last copy left in the engine."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.child import Cost
from benchmarks.errors import BenchmarkError
from benchmarks.rig import Rig
from benchmarks.sections.copying import another

DRIFT = 0.001
"""Share of the documents that differ."""


@dataclass(frozen=True, slots=True)
class Round:
    """A copy, a pass over it, and one after some of its documents have changed."""

    copy: Cost
    equal: Cost
    drift: Cost


def rounds(rig: Rig) -> list[Round]:
    """Copies with their passes beside them, made once for the sections that look at them."""
    return rig.once("reconciled", lambda: [_round(rig) for _ in range(rig.settings.repeats)])


def _round(rig: Rig) -> Round:
    return Round(another(rig), _pass(rig, drift=0.0), _pass(rig, drift=DRIFT))


def _pass(rig: Rig, *, drift: float) -> Cost:
    data = rig.datasets.get("bench")
    cost = rig.run(rig.job("reconcile", data, tenant=data.tenants[0], drift=drift))
    copied = sum(unit["copied"] for unit in cost.found["units"])
    verdicts = {unit["verdict"] for unit in cost.found["units"]}
    if verdicts != {"equal"} or copied != cost.found["differing"]:
        raise BenchmarkError(f"the unit wasn't reconciled: {cost.found}")
    return cost
