"""Batches: how the tenants of one DAG run are spread over mapped tasks."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.plan import Plan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.operators.unit_copy import UnitCopier

MAX_BATCHES = 256
"""Well below Airflow's ``[core] max_map_length`` (1,024 by default), and each batch costs the
scheduler four task instances."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What planning made of one tenant.

    :param plan: its plan's hash, ``None`` if there is no plan.
    :param units: of the plan; without any there is nothing to do.
    :param rows: for spreading the work.
    :param error: why there is no plan.
    """

    tenant: str
    plan: str | None
    units: int = 0
    rows: int = 0
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """For XCom."""
        return {
            "tenant": self.tenant,
            "plan": self.plan,
            "units": self.units,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Planned:
        """Inverse of :meth:`to_json`; the rows are forgotten."""
        return cls(record["tenant"], record["plan"], units=record["units"], error=record["error"])


@dataclass(frozen=True, slots=True)
class TenantWork:
    """What a step works with for one tenant."""

    plan: Plan
    plan_hash: str
    run: str
    bench: Workbench
    ledger: Ledger
    copier: UnitCopier


def batches(planned: Sequence[Planned], *, most: int = MAX_BATCHES) -> list[dict[str, Any]]:
    """Deal tenants to mapped tasks: each its own while there are few, else in even batches.

    Each tenant, in order, goes to the batch with the fewest rows so far. Deterministic.

    :returns: ``[{"batch": 0, "tenants": [...]}, …]``; none is empty.
    """
    dealt: list[list[dict[str, Any]]] = [[] for _ in range(min(most, len(planned)))]
    load = [(0, number) for number in range(len(dealt))]
    for one in planned:
        rows, number = heapq.heappop(load)
        dealt[number].append(one.to_json())
        heapq.heappush(load, (rows + one.rows + 1, number))
    return [{"batch": number, "tenants": tenants} for number, tenants in enumerate(dealt)]
