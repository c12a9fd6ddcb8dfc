"""What an amount of rows needs. Pure arithmetic; docs/scaling.md has the formulas in words."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from benchmarks.sizing.inputs import Figures

HOURS_OF_A_DAY = 24
DAYS_OF_A_MONTH = 30
FULL = 0.85
"""How far a node's disk is filled: below the engines' low watermark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Rows to be copied.

    :param rows: a day, or all together if ``days`` is given.
    :param days: in which a backlog is to be copied; ``None``: a day's rows, every day.
    :param months: that the rows of a backlog lie in.
    """

    title: str
    rows: float
    tenants: int
    days: int | None = None
    months: int = 0


AMOUNTS = (
    Amount(title="1 million rows a day", rows=1e6, tenants=50),
    Amount(title="10 million rows a day", rows=10e6, tenants=200),
    Amount(title="100 million rows a day", rows=100e6, tenants=1_000),
    Amount(title="600 GB a day (273 million rows)", rows=273e6, tenants=2_000),
    Amount(title="10 billion rows, once, in 14 days", rows=10e9, tenants=2_000, days=14, months=24),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What it takes.

    :param hours: in which everything is copied and proven.
    :param rate: documents a second during the copy.
    :param engine_cores: of all nodes together; ``nodes_by_cores`` and ``nodes_by_disk`` are the
        nodes that the cores alone and the disk alone would ask for.
    :param kept: documents in the index at last.
    :param months: that the index holds.
    :param month_gb: size of one month's primaries, all tenants and streams.
    :param shards: shards of the layout ``shared``; ``own_shards``: of ``per_tenant``.
    :param units: that the ledger knows.
    :param scan_hours: one sweep of a table with all these rows, by one backend.
    """

    amount: Amount
    hours: float
    rate: float
    worker_cores: int
    lanes: int
    memory_gb: float
    postgres_cores: float
    postgres_mb_s: float
    engine_cores: int
    nodes: int
    nodes_by_cores: int
    nodes_by_disk: int
    cores_per_node: int
    heap_gb: int
    kept: float
    disk_gb: float
    months: int
    month_gb: float
    month_documents: float
    primaries: int
    shards: int
    own_shards: int
    units: int
    ledger_gb: float
    scan_hours: float


def need(amount: Amount, given: Figures) -> Need:
    """Work it out."""
    hours = given.window_hours if amount.days is None else amount.days * HOURS_OF_A_DAY
    rate = amount.rows * (1 + given.proof_share) / (hours * 3600)
    engine_cores = _cores(rate / given.engine_rate, given)
    worker_cores = _cores(rate * given.python_us / 1e6, given)
    # An engine is full with a bulk in flight for each core and one that is on its way.
    lanes = max(worker_cores, ceil((engine_cores + 1) / given.in_flight))

    if amount.days is None:
        kept, months = amount.rows * given.kept_days, ceil(given.kept_days / DAYS_OF_A_MONTH)
        month_documents = amount.rows * DAYS_OF_A_MONTH
    else:
        kept, months = amount.rows, amount.months
        month_documents = amount.rows / amount.months
    month_gb = month_documents * given.index_bytes / 1e9
    disk_gb = kept * given.index_bytes * given.copies / 1e9

    nodes_by_cores = ceil(engine_cores / given.node_cores)
    nodes_by_disk = ceil(disk_gb / (given.node_disk_gb * FULL))
    # A replica never lies beside its primary.
    nodes = max(nodes_by_cores, nodes_by_disk, int(given.copies))
    cores_per_node = min(int(given.node_cores), max(2, ceil(engine_cores / nodes)))

    # One index a month and stream; the large stream's has as many primaries as its size asks for.
    primaries = max(
        1, ceil(month_gb / given.shard_gb), ceil(month_documents / given.shard_documents)
    )
    streams, copies = int(given.streams), int(given.copies)
    units = amount.tenants * streams * months
    return Need(
        amount=amount,
        hours=hours,
        rate=rate,
        worker_cores=worker_cores,
        lanes=lanes,
        memory_gb=lanes * given.lane_mb / 1e3,
        postgres_cores=rate * given.postgres_us / 1e6,
        postgres_mb_s=rate * given.document_bytes / 1e6,
        engine_cores=engine_cores,
        nodes=nodes,
        nodes_by_cores=nodes_by_cores,
        nodes_by_disk=nodes_by_disk,
        cores_per_node=cores_per_node,
        heap_gb=_heap(cores_per_node, disk_gb / nodes, given),
        kept=kept,
        disk_gb=disk_gb,
        months=months,
        month_gb=month_gb,
        month_documents=month_documents,
        primaries=primaries,
        shards=(primaries + streams - 1) * months * copies,
        own_shards=units * copies,
        units=units,
        ledger_gb=units * given.ledger_bytes / 1e9,
        scan_hours=kept / given.sweep_rate / 3600,
    )


def _cores(busy_cores: float, given: Figures) -> int:
    return max(1, ceil(busy_cores / given.busy))


def _heap(cores: int, disk_gb: float, given: Figures) -> int:
    """Measured: 2 GB for 2 cores. A GB for each core and 8 for each TB on disk are assumed."""
    return int(min(given.heap_gb, max(2, cores, ceil(8 * disk_gb / 1000))))
