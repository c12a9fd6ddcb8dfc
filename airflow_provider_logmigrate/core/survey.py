"""How closely a plan counts rows: exactly, or by the source's own statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from airflow_provider_logmigrate.core.plan import Estimate
from airflow_provider_logmigrate.core.unit import Period

EXACT_ROWS = 20_000_000
"""Rows that are counted one by one at most, where there is a choice: half a minute's work. Half a
million rows of 2.2 KB a second were measured in memory on a busy machine; a disk may be ten times
slower."""


class Counting(str, Enum):
    """What the user wants a plan's numbers to be."""

    AUTO = "auto"
    EXACT = "exact"
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class Survey:
    """Rows of many tenants by period, found in one look at a stream.

    :param by_tenant: tenants without rows, and periods without rows, are left out.
    :param note: for a plan's warnings: why the numbers are estimates, or weren't quick to get;
        empty if there is nothing to say.
    """

    by_tenant: Mapping[str, Mapping[Period, Estimate]]
    note: str = ""

    def of(self, tenant: str) -> Mapping[Period, Estimate]:
        """One tenant's periods."""
        return self.by_tenant.get(tenant, {})


def choose_counting(wanted: Counting, *, indexed: bool, expected: float | None) -> tuple[bool, str]:
    """Whether to count exactly, and what the plan should say about it.

    Estimates must not lose a period: each period is looked for with an index on tenant and event
    time, and only its size is guessed. Without such an index that look alone reads the table, so
    then rows are counted whatever is wanted.

    :param indexed: an index leads on tenant and event time.
    :param expected: rows that the source's statistics promise, ``None`` if unknown.
    """
    if wanted is Counting.EXACT:
        return True, ""
    if not indexed:
        if wanted is Counting.ESTIMATE:
            return True, (
                "rows are counted although estimates were asked for: no index leads on tenant and"
                " event time, so finding the periods reads the table anyway"
            )
        return True, ""
    if wanted is Counting.ESTIMATE:
        return False, "row numbers are the source's estimates, as configured"
    if expected is not None and expected > EXACT_ROWS:
        return False, (
            f"row numbers are the source's estimates: about {expected:,.0f} rows would take"
            " minutes to count (counts: exact does it all the same)"
        )
    return True, ""
