"""Which rows may go: every one has its document, with the row's fingerprint.

A deleting transaction reads what the rows are while they go, and is committed only if the documents
add up to just that. Where they don't, its groups are looked at one by one, to tell who has to stay;
what is left is deleted, and proven, anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purge import PurgeUnit
from airflow_provider_logmigrate.core.purge_ports import (
    Group,
    ObjectStore,
    Print,
    PurgeTarget,
    Rows,
    StoredObject,
)
from airflow_provider_logmigrate.core.unit import Unit

MAX_OBJECT = 64 << 20
"""Bytes of one offloaded object that are compared with its document."""


@dataclass(slots=True)
class Proposal:
    """Some groups after their proof.

    :param groups: those that may go.
    :param stay: the others, each with its reason.
    """

    groups: list[Group] = field(default_factory=list)
    stay: list[tuple[Group, str]] = field(default_factory=list)


class Prover:
    """Compares the rows of a unit's groups with their documents.

    :param objects: where offloaded content is, if the migration follows it.
    """

    def __init__(
        self, unit: PurgeUnit, target: PurgeTarget, objects: ObjectStore | None, stop: Stop
    ) -> None:
        self._unit, self._target, self._objects, self._stop = unit, target, objects, stop
        self._plans: dict[int, tuple[Unit, UnitPlan | None]] = {}

    def holds(self, rows: Sequence[Rows]) -> bool:
        """True if these rows' documents are there and add up to them."""
        units = {rows.unit for rows in rows if rows.unit is not None}
        return units <= self._unit.units.keys() and self._add_up(self._documents(rows))

    def prove(self, groups: Sequence[Group]) -> Proposal:
        """Compare sums over looked-at groups; where these differ, group by group."""
        self._stop.check(self._unit.key)
        proposal = Proposal(list(groups))
        _sift(proposal, self._obstacle)
        documents = self._documents([rows for group in proposal.groups for rows in group.rows])
        if not self._add_up(documents):
            prints = {
                unit: self._target.prints(plan, keys) for unit, (plan, keys, _) in documents.items()
            }
            _sift(proposal, lambda group: self._unproven(group, prints))
        _sift(proposal, self._unsafe)
        return proposal

    def _obstacle(self, group: Group) -> str:
        if group.obstacle:
            return group.obstacle
        for rows in group.rows:
            if rows.unit is not None and self._plan_of(rows.unit) is None:
                return f"a row of {rows.table} is in {rows.unit.key}, which the plan leaves out"
        return ""

    def _plan_of(self, unit: Unit) -> UnitPlan | None:
        """The plan's unit, by identity first: rows of one unit share it, and hashing one costs."""
        if id(unit) not in self._plans:
            self._plans[id(unit)] = unit, self._unit.units.get(unit)
        return self._plans[id(unit)][1]

    def _add_up(self, documents: Mapping[str, tuple[UnitPlan, list[str], Bucket]]) -> bool:
        return all(
            self._target.proof(plan, keys) == proof for plan, keys, proof in documents.values()
        )

    def _documents(self, rows: Iterable[Rows]) -> dict[str, tuple[UnitPlan, list[str], Bucket]]:
        """By unit: the keys of its rows, and what their documents must add up to."""
        keys: dict[int, list[str]] = {}
        proof: dict[int, Bucket] = {}
        plans: dict[int, UnitPlan] = {}
        for some in rows:
            if some.unit is None or (plan := self._plan_of(some.unit)) is None:
                continue
            plans[id(plan)] = plan
            keys.setdefault(id(plan), []).extend(some.keys)
            proof[id(plan)] = proof.get(id(plan), EMPTY) + some.proof
        # A plan's key is spelled out anew by each look, and there are many rows.
        return {plan.key: (plan, keys[one], proof[one]) for one, plan in plans.items()}

    def _unproven(self, group: Group, prints: Mapping[str, Mapping[str, Print]]) -> str:
        for rows in group.rows:
            if rows.unit is None or (plan := self._plan_of(rows.unit)) is None:
                continue
            found = prints[plan.key]
            total = EMPTY
            for key in rows.keys:
                if key not in found:
                    return f"a row of {rows.table} has no document"
                high, low = found[key]
                total = total + Bucket(1, high, low)
            if total != rows.proof:
                return f"a row of {rows.table} changed since it was copied"
        return ""

    def _unsafe(self, group: Group) -> str:
        for item in group.objects:
            if why := self._not_held(item):
                return why
        return ""

    def _not_held(self, item: StoredObject) -> str:
        """Why an object can't go, empty if its content stands whole in a document, or is lost."""
        if self._objects is None:
            return "its offloaded content isn't followed"
        content = self._objects.read(item.key, limit=MAX_OBJECT + 1)
        if content is None:
            return ""  # nothing is lost that isn't lost already
        if item.row is None or item.row.unit is None:
            return "offloaded content belongs to no row that has a document"
        plan = self._unit.units[item.row.unit]
        if len(content) > MAX_OBJECT or not self._target.holds(plan, item, content):
            return "offloaded content isn't whole in its document"
        return ""


def _sift(proposal: Proposal, why: Callable[[Group], str]) -> None:
    going = []
    for group in proposal.groups:
        if reason := why(group):
            proposal.stay.append((group, reason))
        else:
            going.append(group)
    proposal.groups = going
