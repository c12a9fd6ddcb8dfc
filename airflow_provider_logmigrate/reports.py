"""Plans, certificates and runs as text that people read in logs and terminals."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.chance import chance_to_miss
from airflow_provider_logmigrate.core.outcome import UnitReport
from airflow_provider_logmigrate.core.plan import Plan
from airflow_provider_logmigrate.core.purge import PurgePlan
from airflow_provider_logmigrate.core.retention_plan import Action, RetentionPlan

WIDTH = 132
"""Columns of a rendered table: fits an Airflow log."""


def render(table: Table) -> str:
    """A table as plain text."""
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None).print(table)
    return out.getvalue().rstrip()


def text_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table whose number columns are right-aligned (their heads end with ``#``).

    Text is shown as it is: a tenant named ``[red]`` is no markup.
    """
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        number = column.endswith("#")
        table.add_column(
            column.rstrip("# "), justify="right" if number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*[_cell(value) for value in row])
    return table


def plan_text(plan: Plan) -> str:
    """A plan with its units, sizes and warnings."""
    table = text_table(
        f"Plan {plan.hash[:12]} of {plan.migration} for tenant {plan.tenant}",
        ["stream", "period", "rows #", "held back #", "MB #", "index", "read"],
        [
            (
                u.unit.stream,
                u.unit.period.label,
                u.estimate.rows if u.estimate else None,
                u.estimate.held_back if u.estimate else None,
                f"{u.estimate.bytes / 1e6:,.1f}" if u.estimate else None,
                u.index,
                u.strategy.value,
            )
            for u in plan.units
        ],
    )
    reasons = dict.fromkeys(
        f"{u.unit.stream} is read {u.strategy.value}: {u.strategy_reason}" for u in plan.units
    )
    seconds = plan.duration_seconds or 0
    needs = plan.needs
    layouts = (
        [
            f"All tenants together: up to {needs.per_tenant:,} shards with the layout per_tenant,"
            f" {needs.shared:,} with shared"
        ]
        if needs
        else []
    )
    lines = [
        "",
        render(table),
        f"{len(plan.units)} units, {plan.rows:,} rows, {plan.shards} new shards,"
        f" about {max(1, round(seconds))} s of copying in one lane (estimate)",
        *layouts,
        *reasons,
        *[f"Warning: {warning}" for warning in plan.warnings],
        f"Plan hash: {plan.hash}",
    ]
    return "\n".join(lines)


def purge_plan_text(plan: PurgePlan) -> str:
    """A purge plan: what goes with each unit, what stays there, and why other units stay."""
    table = text_table(
        "",
        ["unit", "rows #", "MB #", "held back #", "by table"],
        [
            (
                unit.key,
                sum(unit.rows.values()),
                f"{unit.bytes / 1e6:,.1f}",
                unit.held_back,
                ", ".join(f"{name} {count:,}" for name, count in unit.rows.items() if count),
            )
            for unit in plan.units
        ],
    )
    stays = [
        f"{unit.key}: {count:,} rows of {name} name what goes; they stay"
        for unit in plan.units
        for name, count in unit.references.items()
    ]
    notes = [f"{unit.key}: {note}" for unit in plan.units for note in unit.notes]
    kept = [f"Not purged: {key}: {'; '.join(why)}" for key, why in plan.kept.items()]
    head = (
        f"Purge plan of {plan.migration} for tenant {plan.tenant}:"
        f" {len(plan.units):,} units, at most {plan.rows:,} rows go;"
        f" {len(plan.kept):,} units stay"
    )
    # The hash by itself, so that it can be copied whole from a log of any width.
    lines = [*([render(table)] if plan.units else []), *stays, *notes, *kept]
    return "\n".join([head, *lines, f"Plan hash: {plan.hash}"])


def retention_plan_text(plan: RetentionPlan) -> str:
    """A retention plan: what goes of each index and why, and why the rest stays."""
    table = text_table(
        f"Retention plan {plan.hash} of {plan.migration}, ages as of {plan.as_of:%Y-%m-%d}",
        ["index", "how", "documents #", "of #", "aliases"],
        [
            (
                item.index,
                item.action.value,
                item.documents,
                item.total,
                ", ".join(item.aliases) if item.action is Action.DROP else "stay",
            )
            for item in plan.items
        ],
    )
    goes = [f"{item.index}: {why}" for item in plan.items for why in item.why]
    kept = [f"Not deleted: {name}: {'; '.join(why)}" for name, why in plan.kept.items()]
    head = f"{len(plan.items):,} indices, {plan.documents:,} documents go"
    return "\n".join([head, render(table), *goes, *kept])


def certificate_text(certificate: Certificate, *, ids: int = 20) -> str:
    """A certificate in one paragraph; differing documents by id."""
    c = certificate
    head = (
        f"{c.unit}: {c.verdict.value}: {c.rows:,} settled rows, {c.documents:,} documents,"
        f" {c.rejected} rejected,{f' {c.waived} waived,' if c.waived else ''}"
        f" {c.held_back} held back, {c.pending} pending,"
        f" {c.sampled} compared field by field{_chance(c)} (certificate {c.id})"
    )
    if c.verdict is Verdict.EQUAL and not c.tally.counts:
        return head
    shown = [f"{f.kind.value} {f.key} {f.detail}".rstrip() for f in c.tally.listed[:ids]]
    more = sum(c.tally.counts.values()) - len(shown)
    rest = f" and {more} more" if more > 0 else ""
    return f"{head}; {', '.join(shown)}{rest}"


def _chance(certificate: Certificate) -> str:
    """What a sample can't promise, for one altered document of a hundred."""
    documents, sample = certificate.documents, certificate.sampled
    if certificate.mode != "fingerprint+sample" or not 0 < sample < documents:
        return ""
    altered = -(-documents // 100)
    chance = chance_to_miss(documents=documents, altered=altered, sample=sample)
    return f", which would miss {altered:,} altered ones with a probability of {chance:.1%}"


def units_table(title: str, units: Iterable[UnitReport]) -> Table:
    """The table of a run: what the source had, what arrived, what proves it."""
    return text_table(
        title,
        [
            "stream", "period", "source rows #", "held back #", "documents #", "rejected #",
            "docs/s #", "certificate",
        ],
        [
            (
                u.stream,
                u.period,
                u.rows,
                u.held_back,
                u.documents,
                u.rejected,
                round(u.rate) if u.rate is not None else None,
                f"{u.verdict or 'none'} {(u.certificate or '')[:8]}".strip(),
            )
            for u in units
        ],
    )  # fmt: skip


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-")
    return Text(f"{value:,}" if isinstance(value, int) else str(value))
