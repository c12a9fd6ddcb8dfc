"""Lanes: how a tenant's units are spread over mapped tasks."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.plan import UnitPlan

MAX_LANES = 256
"""Well below Airflow's ``[core] max_map_length`` (1,024 by default)."""


def spread(units: Sequence[UnitPlan], *, lanes: int) -> list[list[str]]:
    """Deal units to lanes so that the lanes end at about the same time.

    Each unit, in plan order, goes to the lane with the fewest rows so far. The plan's order
    (newest first, say) is kept inside every lane. Deterministic; no lane is empty.

    :returns: unit keys per lane.
    :raises ConfigInvalid: ``lanes`` isn't between 1 and 256.
    """
    if not 1 <= lanes <= MAX_LANES:
        raise ConfigInvalid(f"lanes is {lanes}, allowed are 1 to {MAX_LANES}", where="lanes")
    dealt: list[list[str]] = [[] for _ in range(min(lanes, len(units)))]
    load = [0] * len(dealt)
    for unit in units:
        lane = load.index(min(load))
        dealt[lane].append(unit.key)
        load[lane] += (unit.estimate.rows if unit.estimate else 0) + 1
    return dealt
