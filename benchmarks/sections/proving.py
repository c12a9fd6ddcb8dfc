"""A proof of what the last copy left in the engine."""

from __future__ import annotations

from benchmarks.child import Cost
from benchmarks.errors import BenchmarkError
from benchmarks.rig import Rig


def proof(rig: Rig, *, sample: int) -> Cost:
    """Prove the unit of ``bench``, which must have been copied. :raises BenchmarkError: untrue."""
    data = rig.datasets.get("bench")
    cost = rig.run(rig.job("prove", data, tenant=data.tenants[0], sample=sample))
    if any(unit["verdict"] != "equal" for unit in cost.found):
        raise BenchmarkError(f"the copied unit isn't equal to its source: {cost.found}")
    return cost
