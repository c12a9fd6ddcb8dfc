"""Proofs of what the last copy left in the engine."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.child import Cost
from benchmarks.errors import BenchmarkError
from benchmarks.rig import Rig
from benchmarks.sections.copying import another


@dataclass(frozen=True, slots=True)
class Proven:
    """A copy and the proofs of what it made."""

    copy: Cost
    fingerprint: Cost
    full: Cost


def proven(rig: Rig) -> list[Proven]:
    """Copies with their proofs beside them, made once for the sections that look at them."""
    return rig.once("proven", lambda: [_round(rig) for _ in range(rig.settings.repeats)])


def _round(rig: Rig) -> Proven:
    return Proven(another(rig), proof(rig), proof(rig, full=True))


def proof(rig: Rig, *, sample: int = 0, full: bool = False) -> Cost:
    """Prove the unit of ``bench``, which must have been copied. :raises BenchmarkError: untrue."""
    data = rig.datasets.get("bench")
    cost = rig.run(rig.job("prove", data, tenant=data.tenants[0], sample=sample, full=full))
    if any(unit["verdict"] != "equal" for unit in cost.found):
        raise BenchmarkError(f"the copied unit isn't equal to its source: {cost.found}")
    return cost
