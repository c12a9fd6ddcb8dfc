"""Decides what leaves the target by its age, and says why the rest doesn't.

Age is only ever that of the data: of the youngest document concerned. A rule's documents in a
unit go together, when the youngest of them is too old, never in daily slices. An index goes whole
when everything in it is due; otherwise what is due is deleted by a query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_logmigrate.core.retention_facts import IndexFacts, IndexLook, PartFacts
from airflow_provider_logmigrate.core.retention_plan import (
    Action,
    RetentionItem,
    RetentionPlan,
    Slice,
)
from airflow_provider_logmigrate.core.retention_rules import Clause, RetentionRules


@dataclass(frozen=True, slots=True)
class Judgement:
    """What goes of an index, and why the rest stays."""

    item: RetentionItem | None
    kept: tuple[str, ...]


def build_retention_plan(
    migration: str, judged: Mapping[str, Judgement], rules: RetentionRules, *, as_of: datetime
) -> RetentionPlan:
    """The oldest first, as much as one plan may hold."""
    due = [judgement.item for judgement in judged.values() if judgement.item is not None]
    kept = {name: judgement.kept for name, judgement in judged.items() if judgement.kept}
    chosen: list[RetentionItem] = []
    left = rules.max_documents
    for item in sorted(due, key=lambda item: (item.newest, item.index)):
        why = ""
        if len(chosen) == rules.max_indices:
            why = f"a plan may touch {rules.max_indices:,} indices: its turn comes later"
        elif item.documents > left:
            why = (
                f"a plan may delete {rules.max_documents:,} documents, {left:,} are left, and"
                f" {item.documents:,} are due here"
            )
        if why:
            kept[item.index] = (*kept.get(item.index, ()), why)
            continue
        chosen.append(item)
        left -= item.documents
    return RetentionPlan(migration, as_of, tuple(chosen), dict(sorted(kept.items())))


def judge(facts: IndexFacts, rules: RetentionRules, *, as_of: datetime) -> Judgement:
    """Decide about one index.

    :param as_of: ages are counted to this moment.
    """
    look = facts.look
    if reasons := tuple(reasons_to_keep_index(look, rules, as_of=as_of)):
        return Judgement(None, reasons)
    if not facts.documents:
        return Judgement(None, ("it holds no documents, so it has no age",))
    slices: list[Slice] = []
    kept: list[str] = []
    held_up = False
    for part in facts.parts:
        key = part.unit.key
        due: list[Slice] = []
        stays = [f"{key}: {why}" for why in _due(part, rules, as_of, due)]
        forbidden = [f"{key}: {why}" for why in _reasons_to_keep_part(part, rules)]
        held_up |= bool(forbidden)
        kept += [*stays, *(forbidden if due else ())]
        if not forbidden:
            slices += due
    if not slices:
        return Judgement(None, tuple(kept) or ("no unit that the ledger knows is in it",))
    whole = not held_up and sum(part.documents for part in slices) == facts.documents
    item = RetentionItem(
        index=look.name,
        uuid=look.uuid,
        action=Action.DROP if whole else Action.DELETE,
        total=facts.documents,
        aliases=tuple(sorted(look.aliases)),
        slices=tuple(slices),
    )
    return Judgement(item, tuple(kept))


def reasons_to_keep_index(
    look: IndexLook, rules: RetentionRules, *, as_of: datetime
) -> Iterator[str]:
    """Why nothing of an index may be deleted, whatever its documents' age."""
    if not look.ours:
        yield "it isn't this migration's: its _meta says something else"
    if look.period.end + rules.settle_lag > as_of:
        yield f"its period is open: it ends {look.period.end:%Y-%m-%d}"
    for alias in look.write_aliases:
        yield f"it is the write index of {alias}"
    if look.data_stream is not None:
        yield f"it belongs to the data stream {look.data_stream}"
    if look.managed_by is not None and not rules.allow_managed:
        yield f"the lifecycle policy {look.managed_by} of the engine manages it"
    if look.closed:
        yield "it is closed: its documents' age can't be asked"
    for name, why in sorted(look.strange_fields.items()):
        yield f"rules name the field {name}, which {why}"


def same_deletion(planned: RetentionItem, now: RetentionItem | None, *, begun: bool) -> bool:
    """True if what would go now is what was planned.

    :param begun: the deletion was interrupted: some of the documents may be gone already.
    """
    if planned == now:
        return True
    if now is None or not begun or planned.action is not Action.DELETE is not now.action:
        return False
    wanted = {_identity(part): part.documents for part in planned.slices}
    fewer = all(part.documents <= wanted.get(_identity(part), 0) for part in now.slices)
    return (planned.index, planned.uuid) == (now.index, now.uuid) and fewer


def _identity(part: Slice) -> tuple[object, ...]:
    return part.unit, part.share, part.where, part.unless, part.before


def _due(
    part: PartFacts, rules: RetentionRules, as_of: datetime, due: list[Slice]
) -> Iterator[str]:
    clauses = rules.clauses(part.unit.stream, part.unit.tenant)
    for clause, found in zip(clauses, part.clauses, strict=True):
        many = f"{found.documents:,} documents"
        if not found.documents:
            continue
        if clause.after is None:
            yield f"{many} stay: they go {clause}"
        elif found.timeless or found.newest is None:
            yield f"{found.timeless:,} of {many} have no event time, so they have no age"
        elif found.newest >= as_of - clause.after:
            yield f"{many} stay, the youngest of {found.newest:%Y-%m-%d}: they go {clause}"
        else:
            due.append(_slice(part, clause, clause.after, found.documents, found.newest, as_of))


def _slice(
    part: PartFacts,
    clause: Clause,
    after: timedelta,
    documents: int,
    newest: datetime,
    as_of: datetime,
) -> Slice:
    return Slice(
        unit=part.unit.key,
        share=part.share,
        where=clause.where,
        unless=clause.unless,
        before=(as_of - after).isoformat(),
        documents=documents,
        newest=newest.isoformat(),
        rule=str(clause),
    )


def _reasons_to_keep_part(part: PartFacts, rules: RetentionRules) -> Iterator[str]:
    unit = part.unit
    if any(hold.covers(unit.tenant, unit.period) for hold in rules.holds):
        yield "it is under legal hold"
    if not part.copied:
        yield "its copy isn't finished"
    if part.purging:
        yield "an interrupted purge of it isn't finished"
    if rules.allow_last_copy:
        return
    if part.only_here is None:
        yield "the source can't be asked for its rows: this may be their last copy"
    elif part.only_here:
        yield f"{part.only_here:,} documents have no row in the source: this is their last copy"
