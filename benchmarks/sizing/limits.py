"""What breaks first: each limit with how much of it an amount of rows uses."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.sizing.inputs import Figures
from benchmarks.sizing.need import Need

CHEAP_SCAN_HOURS = 24
COMFORTABLE_LEDGER_GB = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit.

    :param use: over 1 it is broken unless something is done.
    :param cure: what is done.
    """

    what: str
    use: float
    cure: str


def limits(found: Need, given: Figures) -> list[Limit]:
    """All of them, the one that breaks first at the top."""
    amount = found.amount
    largest_hour = amount.rows * given.largest_tenant
    # A backlog's rows lie in months; a day's rows come in the hours of one day.
    largest_hour /= 24 if amount.days is None else amount.months * 30 * 24
    every = [
        Limit(
            what="shards with `layout: per_tenant`",
            use=found.own_shards / (found.nodes * given.node_shards),
            cure="`layout: shared`",
        ),
        Limit(
            what="a DAG for each tenant",
            use=amount.tenants / given.tenant_dags,
            cure="`dags: grouped`, one DAG for many tenants",
        ),
        Limit(
            what="parsing a DAG for each tenant",
            use=amount.tenants / 1000 * given.parse_1000 / given.import_seconds,
            cure="`dags: grouped`",
        ),
        Limit(
            what="disk of the nodes that the load asks for",
            use=found.nodes_by_disk / max(found.nodes_by_cores, int(given.copies)),
            cure="more nodes, shorter keeping, `best_compression`",
        ),
        Limit(
            what="a month of all tenants in one primary shard",
            use=max(found.month_gb / given.shard_gb, found.month_documents / given.shard_documents),
            cure="`index.shards`, or `period: day`",
        ),
        Limit(
            what="one core of the workers",
            use=found.rate * given.python_us / 1e6 / given.busy,
            cure="more lanes, on several workers",
        ),
        Limit(
            what="one core of the source database",
            use=found.postgres_cores / given.busy,
            cure="a read replica, a longer window",
        ),
        Limit(
            what="one engine node",
            use=found.engine_cores / given.node_cores,
            cure="more nodes and primary shards",
        ),
        Limit(
            what="the largest tenant's rows in an hour",
            use=largest_hour / given.hour_rows,
            cure="none needed, but the proof lists such hours document by document",
        ),
        Limit(
            what="a lane of the largest tenant, as one Celery task",
            use=found.hours * given.largest_tenant / given.task_hours,
            cure="a longer visibility timeout, or runs of a few months each",
        ),
        Limit(
            what="one sweep of the table by one backend",
            use=found.scan_hours / CHEAP_SCAN_HOURS,
            cure="an index and `keyset`, or more lanes for the sweep",
        ),
        Limit(
            what="the ledger",
            use=found.ledger_gb / COMFORTABLE_LEDGER_GB,
            cure="the statements in the runbook",
        ),
    ]
    return sorted(every, key=lambda limit: -limit.use)
