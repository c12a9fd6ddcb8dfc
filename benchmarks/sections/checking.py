"""A copy and what follows it: proofs of its unit, and passes of a reconcile over it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.child import Cost
from benchmarks.errors import BenchmarkError
from benchmarks.rig import Rig
from benchmarks.sections.copying import another

SAMPLE = 1_000
DRIFT = 0.001


@dataclass(frozen=True, slots=True)
class Checked:
    """What followed one copy, in this order.

    :param sampled: fingerprints and a deep sample.
    :param full: fingerprints and every document.
    :param equal: a pass over the unit as it is.
    :param drift: one after some of its documents have changed.
    """

    copy: Cost
    fingerprint: Cost
    sampled: Cost
    full: Cost
    equal: Cost
    drift: Cost


def checked(rig: Rig) -> list[Checked]:
    """Made once for the sections that look at them."""
    return rig.once("checked", lambda: [_round(rig) for _ in range(rig.settings.repeats)])


def _round(rig: Rig) -> Checked:
    return Checked(
        copy=another(rig),
        fingerprint=_proof(rig),
        sampled=_proof(rig, sample=rig.settings.amount(SAMPLE)),
        full=_proof(rig, full=True),
        equal=_pass(rig, drift=0.0),
        drift=_pass(rig, drift=DRIFT),
    )


def _proof(rig: Rig, *, sample: int = 0, full: bool = False) -> Cost:
    data = rig.datasets.get("bench")
    cost = rig.run(rig.job("prove", data, tenant=data.tenants[0], sample=sample, full=full))
    if any(unit["verdict"] != "equal" for unit in cost.found):
        raise BenchmarkError(f"the copied unit isn't equal to its source: {cost.found}")
    return cost


def _pass(rig: Rig, *, drift: float) -> Cost:
    data = rig.datasets.get("bench")
    cost = rig.run(rig.job("reconcile", data, tenant=data.tenants[0], drift=drift))
    copied = sum(unit["copied"] for unit in cost.found["units"])
    verdicts = {unit["verdict"] for unit in cost.found["units"]}
    if verdicts != {"equal"} or copied != cost.found["differing"]:
        raise BenchmarkError(f"the unit wasn't reconciled: {cost.found}")
    return cost
