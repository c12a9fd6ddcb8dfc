"""Carries out one item of a retention plan, so that a kill between any two steps loses no count.

``look -> intend -> delete -> settle``: the ledger knows of a deletion before the engine does. What
stands as intended is looked at again by whoever comes next: an index that is gone was dropped, and
documents that are gone were deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import TargetRefused, TargetUnavailable
from airflow_provider_logmigrate.core.retention import judge, same_deletion
from airflow_provider_logmigrate.core.retention_facts import IndexFacts
from airflow_provider_logmigrate.core.retention_plan import Action, RetentionItem
from airflow_provider_logmigrate.core.retention_rules import RetentionRules

MOST_PASSES = 3
"""Deletions by query of one item: documents that are written meanwhile need another one."""


class ItemState(str, Enum):
    """How the deletion of an item stands."""

    INTENDED = "intended"
    DELETED = "deleted"
    STOPPED = "stopped"
    """It was begun, and what was left of it may not go any more."""


class RetentionTarget(Protocol):
    """What deletes."""

    def uuid(self, index: str) -> str | None:
        """The engine's id of the index, ``None`` if there is none of this name."""

    def drop(self, index: str) -> None:
        """Delete the index with all its aliases, atomically."""

    def settle_running(self, index: str, *, stop: Stop) -> None:
        """Wait for deletions by query that run on the index."""

    def delete(self, item: RetentionItem, *, stop: Stop) -> None:
        """Delete the item's documents by one query and wait until it has ended."""

    def count(self, item: RetentionItem) -> int:
        """How many of the item's documents are there now."""


class RetentionLog(Protocol):
    """One item in the ledger, for one attempt."""

    def state(self) -> ItemState | None:
        """How it stands, ``None`` if it was never begun."""

    def intend(self) -> None:
        """It is about to be deleted by this attempt, which takes its units over; durable on return.

        :raises Fenced: a newer attempt has one of them.
        """

    def check(self) -> None:
        """:raises Fenced: a newer attempt has one of the units."""

    def settle(self, state: ItemState, *, deleted: int) -> None:
        """It has ended. Idempotent."""


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of an item.

    :param deleted: documents that went, in this run or in one that was interrupted.
    :param refused: why it may not go any more; empty if it went.
    """

    deleted: int = 0
    refused: str = ""


def carry_out_item(
    item: RetentionItem,
    *,
    look: Callable[[], IndexFacts | None],
    rules: RetentionRules,
    as_of: datetime,
    target: RetentionTarget,
    log: RetentionLog,
    stop: Stop,
) -> ItemOutcome:
    """Delete what the item names, if it is still exactly what was planned. Idempotent.

    :param look: the index as it is at this moment.
    :param as_of: the plan's.
    :raises TargetRefused: the engine refuses, and won't stop to; what went is kept in the log.
    :raises TargetUnavailable: documents kept changing while they were deleted.
    """
    state = log.state()
    if state is ItemState.DELETED:
        return ItemOutcome()
    begun = state is ItemState.INTENDED
    stop.check(item.index)
    if target.uuid(item.index) != item.uuid:
        return _settled(log, item) if begun else ItemOutcome(refused="the planned index is gone")
    if begun:
        target.settle_running(item.index, stop=stop)
        if item.action is Action.DELETE and not target.count(item):
            return _settled(log, item)
    facts = look()
    judgement = judge(facts, rules, as_of=as_of) if facts is not None else None
    now = judgement.item if judgement else None
    if not same_deletion(item, now, begun=begun):
        why = "it isn't what was planned any more"
        if judgement and judgement.kept:
            why += f": {'; '.join(judgement.kept)}"
        deleted = _gone(item, target) if begun else 0
        if begun:
            log.settle(ItemState.STOPPED, deleted=deleted)
        return ItemOutcome(deleted, refused=why)
    log.intend()
    try:
        if item.action is Action.DROP:
            log.check()  # an index of the same name may be made anew, by a newer attempt
            target.drop(item.index)
        else:
            _delete(item, target, stop)
    except TargetRefused:
        log.settle(ItemState.STOPPED, deleted=_gone(item, target))
        raise
    return _settled(log, item)


def _settled(log: RetentionLog, item: RetentionItem) -> ItemOutcome:
    log.settle(ItemState.DELETED, deleted=item.documents)
    return ItemOutcome(item.documents)


def _gone(item: RetentionItem, target: RetentionTarget) -> int:
    """Of an index that is still there."""
    if item.action is Action.DROP:
        return 0
    return max(0, item.documents - target.count(item))


def _delete(item: RetentionItem, target: RetentionTarget, stop: Stop) -> None:
    for _ in range(MOST_PASSES):
        target.delete(item, stop=stop)
        left = target.count(item)
        if not left:
            return
    raise TargetUnavailable(
        f"{left:,} documents that should be deleted are still there: they keep changing",
        where=item.index,
    )
