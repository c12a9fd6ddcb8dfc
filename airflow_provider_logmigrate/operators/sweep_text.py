"""A sweep as text that people read in logs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.sweep import BLOCK_BYTES
from airflow_provider_logmigrate.reports import render, text_table

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.sweep import SweepPlan
    from airflow_provider_logmigrate.operators.sweep_settling import StreamReport


def sweep_plan_text(number: int, plan: SweepPlan) -> str:
    """What a sweep will read and where it goes."""
    table = text_table(
        f"Sweep {number} of {plan.migration}",
        ["part #", "lane #", "stream", "table", "first block #", "end block #", "MB #"],
        [
            (
                part.number,
                part.lane,
                part.stream,
                str(part.relation),
                part.first,
                part.end,
                round((part.end - part.first) * BLOCK_BYTES / 1e6),
            )
            for part in plan.parts
        ],
    )
    tenants = len({unit.unit.tenant for unit in plan.units})
    return "\n".join(
        [
            "",
            render(table),
            f"{len(plan.units):,} units of {tenants:,} tenants, event time before"
            f" {plan.ripe.isoformat()}",
            *[f"{s.name}: {s.rows:,} settled rows; {s.reason}" for s in plan.streams],
            *[f"Warning: {warning}" for warning in plan.warnings],
            f"Plan hash: {plan.hash}",
        ]
    )


def sweep_table(number: int, reports: Iterable[StreamReport]) -> str:
    """What a sweep did."""
    table = text_table(
        f"Sweep {number}",
        [
            "stream", "expected rows #", "documents #", "rejected #", "passed over",
            "units copied #", "units left #", "parts unread #",
        ],
        [
            (
                report.stream,
                report.expected,
                report.counters.documents,
                report.counters.rejected,
                ", ".join(f"{why} {count:,}" for why, count in sorted(report.skipped.items()))
                or "none",
                report.units,
                len(report.left),
                report.unswept,
            )
            for report in reports
        ],
    )  # fmt: skip
    return render(table)
