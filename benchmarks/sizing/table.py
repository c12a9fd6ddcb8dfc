"""The generated part of docs/scaling.md."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.sizing.inputs import Figures, Input, figures
from benchmarks.sizing.limits import Limit, limits
from benchmarks.sizing.need import AMOUNTS, Need, need


def markdown(inputs: Sequence[Input]) -> str:
    """Sizes, what breaks first, and the figures behind both."""
    given = figures(inputs)
    needs = [need(amount, given) for amount in AMOUNTS]
    parts = [_sizes(needs), _breaks(needs, given), _figures(inputs)]
    return "\n".join(["", *parts]) + "\n"


def _sizes(needs: Sequence[Need]) -> str:
    rows = [
        [
            one.amount.title,
            f"{one.amount.tenants:,}",
            f"{one.rate:,.0f}/s in {_hours(one.hours)}",
            f"{_count(one.lanes, 'lane')}, {_count(one.worker_cores, 'core')},"
            f" {_gb(one.memory_gb)}",
            f"{_number(one.postgres_cores)} of a core, {_number(one.postgres_mb_s)} MB/s",
            f"{one.nodes}, each {_count(one.cores_per_node, 'core')}, {one.heap_gb} GB of heap",
            _gb(one.disk_gb),
            f"{one.primaries}",
            f"{one.units:,} units, {_gb(one.ledger_gb)}",
        ]
        for one in needs
    ]
    head = [
        "rows", "tenants", "documents", "workers", "load on PostgreSQL", "engine nodes",
        "on their disks", "primary shards a month", "ledger",
    ]  # fmt: skip
    return _table(head, rows)


def _breaks(needs: Sequence[Need], given: Figures) -> str:
    rows = []
    for one in needs:
        ordered = limits(one, given)
        broken = [limit for limit in ordered if limit.use > 1] or ordered[:1]
        rows.append([one.amount.title, "; ".join(_limit(limit) for limit in broken)])
    return _table(["rows", "what breaks, first things first, and what to do"], rows)


def _figures(inputs: Sequence[Input]) -> str:
    rows = [
        [
            f"{_number(one.value, digits=3)} {one.unit}".strip(),
            one.meaning,
            f"{one.kind.value}, `{one.section}`" if one.section else one.kind.value,
        ]
        for one in inputs
    ]
    return _table(["figure", "what it is", "where it comes from"], rows)


def _limit(limit: Limit) -> str:
    use = f"{_number(limit.use)} times" if limit.use > 1 else f"{100 * limit.use:.0f} % used"
    return f"{limit.what}: {use} ({limit.cure})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first, *rest = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([first, "|---" * len(head) + "|", *rest]) + "\n"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _hours(hours: float) -> str:
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def _gb(size: float) -> str:
    if size < 0.1:
        return f"{_number(size * 1000)} MB"
    return f"{_number(size)} GB" if size < 1000 else f"{_number(size / 1000)} TB"


def _number(value: float, digits: int = 2) -> str:
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{float(f'{value:.{digits}g}'):g}"
