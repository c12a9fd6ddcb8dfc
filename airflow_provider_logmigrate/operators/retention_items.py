"""Carries out a retention plan: whatever forbids a deletion is looked at again, per index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.retention_run import ItemState, carry_out_item
from airflow_provider_logmigrate.operators.retention_plan import RetentionDesk

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.core.retention_plan import RetentionItem, RetentionPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger


@dataclass(slots=True)
class RetentionReport:
    """What a retention did.

    :param dropped: documents of indices that went whole, by index.
    :param deleted: documents that were deleted by a query, by index.
    :param refused: indices that may not be touched any more, with the reasons.
    """

    dropped: dict[str, int] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Small facts for an XCom."""
        return {
            "dropped": dict(self.dropped),
            "deleted": dict(self.deleted),
            "refused": dict(self.refused),
        }


def carry_out(
    bench: Workbench, ledger: Ledger, plan: RetentionPlan, *, holder: str, stop: Stop, log: Any
) -> RetentionReport:
    """Work through a plan's indices one after the other.

    What a killed task left half done comes first, whichever plan it was part of.

    :param holder: who does it, for those who look at the ledger.
    """
    work = _Work(bench, ledger, holder, stop, log)
    for left in ledger.retentions.list(plan.migration):
        if left.state is ItemState.INTENDED and left.plan != plan.hash:
            before = ledger.retentions.load(left.plan)
            work.item(before, next(i for i in before.items if i.index == left.index))
    work.snapshot(plan)
    for item in plan.items:
        work.item(plan, item)
    return work.report


class _Work:
    def __init__(self, bench: Workbench, ledger: Ledger, holder: str, stop: Stop, log: Any) -> None:
        from airflow_provider_logmigrate.stores.search.retention import SearchRetention

        self._bench, self._ledger, self._holder = bench, ledger, holder
        self._stop, self._log = stop, log
        self._desk = RetentionDesk(bench, ledger)
        self._target = SearchRetention(
            bench.client,
            self._desk.event_times,
            documents_per_second=self._desk.settings.documents_per_second,
        )
        self.report = RetentionReport()

    def snapshot(self, plan: RetentionPlan) -> None:
        """One snapshot per plan, of the planned indices that are still there."""
        from airflow_provider_logmigrate.stores.search import snapshot

        repository = self._desk.settings.snapshot
        indices = [i.index for i in plan.items if self._target.uuid(i.index) == i.uuid]
        if repository and indices:
            name = f"logmigrate-retention-{plan.hash[:16]}"
            snapshot.take(self._bench.client, repository, name, indices, stop=self._stop)

    def item(self, plan: RetentionPlan, item: RetentionItem) -> None:
        """Delete what one item names, or say why it stays."""
        attempt = self._ledger.units.begin_attempt()
        outcome = carry_out_item(
            item,
            look=lambda: self._desk.look_anew(item.index, as_of=plan.as_of),
            rules=self._desk.rules,
            as_of=plan.as_of,
            target=self._target,
            log=self._ledger.retentions.item(plan, item, attempt=attempt, holder=self._holder),
            stop=self._stop,
        )
        if outcome.refused:
            self.report.refused[item.index] = outcome.refused
            self._log.warning("%s stays: %s", item.index, outcome.refused)
        if outcome.deleted:
            whole = item.action.value == "drop"
            kept = self.report.dropped if whole else self.report.deleted
            kept[item.index] = kept.get(item.index, 0) + outcome.deleted
            self._log.info("%s: %s documents %s", item.index, outcome.deleted, item.action.value)
