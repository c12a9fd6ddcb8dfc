"""How much sample data to make, and of what kind: the named profiles.

A profile is the whole input of the generator: equal profiles give equal bytes. All rows a profile
describes have their ``created_at`` inside its months, so a migration over exactly those months
sees every row.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

STEPS_PER_RUN = 8.0
"""Mean node executions per run over the generated workflows; used for estimates only."""

_MAX_MONTHS = 1200


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Amount, period and special contents of one generated data set.

    :param name: name of the profile, for messages
    :param tenants: number of tenants; later ones have fewer runs (1, 1/2, 1/3, … of the first)
    :param first_month: first month as ``YYYY-MM``
    :param months: number of months
    :param runs_per_month: ordinary runs a month, of all tenants together
    :param seed: everything random is derived from it
    :param graph_bytes: median size of ``workflow_runs.graph`` (field reports: 17 KB)
    :param text_scale: factor on the size of texts in inputs and outputs; at 1.0 a node execution
        is about 2.2 KB as a document
    :param hostile_rows: one run with a node for every case of ``HOSTILE_VALUES``
    :param boundary_rows: runs at the first instant and at the last microsecond of each month, runs
        that cross into the next month, runs with equal ``created_at``
    :param unsettled: per tenant, this many runs each that are running, paused and scheduled, and
        one running single step
    :param offloaded: runs per tenant with a node whose content lies in object storage
    :param offload_bytes: size of such a content; the first one of each tenant is always above
        Dify's real threshold of 1,024,000 bytes
    :param orphan_offloads: offload rows that belong to no node execution, as Dify's own garbage
        collection leaves them; of the first tenant
    :param missing_files: this many of the offloaded files are left unwritten
    """

    name: str
    tenants: int
    first_month: str
    months: int
    runs_per_month: int
    seed: int = 20250101
    graph_bytes: int = 17_000
    text_scale: float = 1.0
    hostile_rows: bool = True
    boundary_rows: bool = True
    unsettled: int = 1
    offloaded: int = 2
    offload_bytes: int = 60_000
    orphan_offloads: int = 0
    missing_files: int = 0

    def __post_init__(self) -> None:
        if self.tenants < 1 or not 1 <= self.months <= _MAX_MONTHS:
            raise ValueError(
                f"profile {self.name!r}: tenants={self.tenants}, months={self.months}; "
                f"give at least one tenant and 1 to {_MAX_MONTHS} months"
            )
        numbers = (self.runs_per_month, self.unsettled, self.offloaded, self.orphan_offloads)
        if min(*numbers, self.missing_files, self.graph_bytes) < 0 or self.text_scale <= 0:
            raise ValueError(
                f"profile {self.name!r}: counts and sizes must not be negative and text_scale "
                "must be above 0"
            )
        datetime.fromisoformat(f"{self.first_month}-01")

    @property
    def tenant_ids(self) -> tuple[str, ...]:
        """Ids of the tenants, known without generating; a longer list only adds at its end."""
        rng = random.Random(f"{self.seed}/tenants")
        return tuple(str(UUID(int=rng.getrandbits(128), version=4)) for _ in range(self.tenants))

    @property
    def month_starts(self) -> tuple[datetime, ...]:
        """First instants (naive UTC) of all months, and last the end of the whole period."""
        first = datetime.fromisoformat(f"{self.first_month}-01")
        return tuple(
            first.replace(
                year=first.year + (first.month - 1 + k) // 12, month=(first.month - 1 + k) % 12 + 1
            )
            for k in range(self.months + 1)
        )

    @property
    def month_names(self) -> tuple[str, ...]:
        """The months as ``YYYY-MM``."""
        return tuple(f"{start:%Y-%m}" for start in self.month_starts[:-1])

    @property
    def last_day(self) -> str:
        """The last day of the period as ``YYYY-MM-DD``."""
        return f"{self.month_starts[-1] - timedelta(days=1):%Y-%m-%d}"

    @property
    def runs_by_tenant(self) -> tuple[int, ...]:
        """Ordinary runs a month of each tenant."""
        weights = [1 / (k + 1) for k in range(self.tenants)]
        return tuple(round(self.runs_per_month * w / sum(weights)) for w in weights)

    @property
    def about_rows(self) -> int:
        """Rough number of rows over the four stream tables, for progress displays."""
        special = self.tenants * (3 * self.unsettled + self.offloaded)
        special += 6 * self.months * self.tenants if self.boundary_rows else 0
        special += 75 if self.hostile_rows else 0
        runs = self.months * sum(self.runs_by_tenant) + special
        return int(runs * (STEPS_PER_RUN + 1.75))


PROFILES: Mapping[str, Profile] = {
    "demo": Profile(
        name="demo",
        tenants=3,
        first_month="2025-01",
        months=4,
        runs_per_month=2_550,
        graph_bytes=3_500,
        text_scale=0.4,
        unsettled=3,
        offloaded=6,
        orphan_offloads=1,
    ),
    "test": Profile(
        name="test",
        tenants=2,
        first_month="2025-01",
        months=2,
        runs_per_month=35,
        graph_bytes=2_500,
        text_scale=0.4,
        unsettled=1,
        offloaded=2,
        orphan_offloads=1,
    ),
    "bench": Profile(
        name="bench",
        tenants=1,
        first_month="2025-01",
        months=1,
        runs_per_month=12_500,
        hostile_rows=False,
        boundary_rows=False,
        unsettled=0,
        offloaded=0,
    ),
}
"""The profiles by name.

``demo``: about 100,000 rows, made to load in seconds: graphs of about 3.5 KB (real ones: 17 KB) and
texts of 40 % of the real size. ``test``: about 2,000 rows. ``bench``: real sizes, more than 100,000
node executions of one tenant and month, nothing special; scale it with ``runs_per_month``.
"""
