"""What of a migration's indices is due, by facts that are looked at now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.certificate import FindingKind
from airflow_provider_logmigrate.core.checkpoint import Phase
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.layout import share_of
from airflow_provider_logmigrate.core.plan import UnitPlan, shared_owner
from airflow_provider_logmigrate.core.retention import (
    Judgement,
    build_retention_plan,
    judge,
    reasons_to_keep_index,
)
from airflow_provider_logmigrate.core.retention_facts import IndexFacts, IndexLook, PartFacts
from airflow_provider_logmigrate.core.retention_plan import RetentionPlan
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.core.verify import prove

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Migration, RetentionSettings
    from airflow_provider_logmigrate.core.planning import StreamSetup
    from airflow_provider_logmigrate.core.retention_rules import RetentionRules
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.ledger.units import UnitState
    from airflow_provider_logmigrate.stores.search.existing import IndexState


def retention_settings(migration: Migration) -> RetentionSettings:
    """The migration's rules. :raises PlanUnusable: it has none, so nothing may be deleted."""
    if migration.retention is None:
        raise PlanUnusable(
            "the migration doesn't allow a retention",
            where=f"migrations.{migration.name}.retention",
            next_step="give the migration a `retention` block",
        )
    return migration.retention


def make_retention_plan(bench: Workbench, ledger: Ledger, *, now: datetime) -> RetentionPlan:
    """Judge every index of every unit that was ever copied. Reads only.

    :param now: ages are counted to the midnight (UTC) before.
    """
    desk = RetentionDesk(bench, ledger)
    as_of = now.replace(hour=0, minute=0, second=0, microsecond=0)
    judged: dict[str, Judgement] = {}
    for name in desk.indices():
        facts = desk.look(name, as_of=as_of)
        if facts is not None:
            judged[name] = judge(facts, desk.rules, as_of=as_of)
    return build_retention_plan(bench.migration.name, judged, desk.rules, as_of=as_of)


@dataclass(frozen=True, slots=True)
class _Home:
    """The indices of some units, all versions of them.

    :param owner: see :attr:`UnitPlan.owner`.
    """

    owner: str
    shared: bool
    states: Sequence[UnitState]

    @property
    def first(self) -> Unit:
        return Unit.from_key(self.states[0].unit)


class RetentionDesk:
    """Looks at indices of a migration for its retention.

    :raises PlanUnusable: the migration doesn't allow one.
    """

    def __init__(self, bench: Workbench, ledger: Ledger) -> None:
        self._bench, self._ledger = bench, ledger
        self.settings = retention_settings(bench.migration)
        self.rules: RetentionRules = self.settings.rules
        self._setups = {setup.shape.stream.name: setup for setup in bench.setups}
        self.event_times = {s.name: s.event_time for s in bench.migration.streams}
        self._homes = self._find_homes()

    def indices(self) -> list[str]:
        """Every version of every unit's index, by name."""
        from airflow_provider_logmigrate.stores.search import existing

        found = existing.versions(self._bench.client, self._homes)
        return sorted(version.index for versions in found.values() for version in versions)

    def look_anew(self, name: str, *, as_of: datetime) -> IndexFacts | None:
        """The same as :meth:`look`, with the ledger's units as they are now."""
        self._homes = self._find_homes()
        return self.look(name, as_of=as_of)

    def look(self, name: str, *, as_of: datetime) -> IndexFacts | None:
        """An index as it is now; ``None`` if it isn't there, or no unit's.

        What can't be deleted for its own sake isn't counted. Whether rows are still in the source
        is asked for units that are due only: it costs a pass over them.
        """
        from airflow_provider_logmigrate.stores.search import existing, index

        home = self._homes.get(name.rpartition("-v")[0])
        state = existing.read(self._bench.client, name) if home else None
        if home is None or state is None:
            return None
        facts = IndexFacts(self._index_look(home, state))
        if any(reasons_to_keep_index(facts.look, self.rules, as_of=as_of)):
            return facts
        index.refresh(self._bench.client, name)
        facts = self._count(home, facts)
        item = judge(facts, self.rules, as_of=as_of).item
        if item is None or self.rules.allow_last_copy:
            return facts
        due = set(item.units)
        parts = [
            replace(part, only_here=self._only_here(part, name)) if part.unit.key in due else part
            for part in facts.parts
        ]
        return replace(facts, parts=tuple(parts))

    def _find_homes(self) -> dict[str, _Home]:
        """By the indices' name without the version; streams that aren't declared are left out."""
        found: dict[str, _Home] = {}
        for state in self._ledger.units.states(self._bench.migration.name):
            if state.stream not in self.event_times:
                continue
            base = state.index.rpartition("-v")[0]
            unit = Unit.from_key(state.unit)
            stream = self._bench.migration.stream(state.stream)
            names = self._bench.migration.names(stream)
            shared = base == names.shared_base(unit.period.label)
            owner = shared_owner(unit) if shared else unit.key
            before = found.get(base)
            states = [*before.states, state] if before else [state]
            found[base] = _Home(owner, shared, states)
        return found

    def _index_look(self, home: _Home, state: IndexState) -> IndexLook:
        from airflow_provider_logmigrate.stores.search import existing, lifecycle, retention

        client, meta = self._bench.client, state.meta or {}
        migration = self._bench.migration.name
        ours = existing.owner_of(meta) == home.owner and meta.get("migration") == migration
        tenants = {Unit.from_key(unit.unit).tenant for unit in home.states}
        fields = {
            name
            for tenant in tenants
            for clause in self.rules.clauses(home.first.stream, tenant)
            for name, _ in clause.where
        }
        return IndexLook(
            name=state.name,
            uuid=state.settings["index.uuid"],
            period=home.first.period,
            ours=ours,
            aliases=tuple(sorted(state.aliases)),
            write_aliases=tuple(sorted(state.write_aliases)),
            data_stream=state.data_stream,
            managed_by=lifecycle.policy(client, state) if ours else None,
            closed=state.settings.get("index.verified_before_close") == "true",
            strange_fields=retention.strange_fields(client, state.name, fields) if ours else {},
        )

    def _count(self, home: _Home, facts: IndexFacts) -> IndexFacts:
        from airflow_provider_logmigrate.stores.search import retention

        name, migration = facts.look.name, self._bench.migration.name
        parts = [self._part(home, state) for state in home.states]
        wanted = [
            (part.share, clause)
            for part in parts
            for clause in self.rules.clauses(part.unit.stream, part.unit.tenant)
        ]
        event_time = self.event_times[home.first.stream]
        total, counts = retention.count_clauses(
            self._bench.client, name, wanted, event_time=event_time
        )
        left = iter(counts)
        purging = {
            unit
            for tenant in {part.unit.tenant for part in parts}
            for unit in self._ledger.deletions.open_units(migration, tenant=tenant)
        }
        counted = [
            replace(
                part,
                clauses=tuple(
                    next(left) for _ in self.rules.clauses(part.unit.stream, part.unit.tenant)
                ),
                purging=part.unit.key in purging,
            )
            for part in parts
        ]
        return replace(facts, documents=total, parts=tuple(counted))

    def _part(self, home: _Home, state: UnitState) -> PartFacts:
        unit = Unit.from_key(state.unit)
        setup = self._setups.get(state.stream)
        share = None
        if home.shared:
            if setup is None:
                raise PlanUnusable(
                    "the source has no such table any more, so its tenants can't be told apart",
                    where=state.stream,
                    next_step="take the stream out of the migration, or bring its table back",
                )
            share = share_of(setup.shape, unit.tenant)
        return PartFacts(unit, share, clauses=(), copied=state.phase is Phase.COPIED)

    def _only_here(self, part: PartFacts, index: str) -> int | None:
        """Documents without a row in the source: a look at both sides, as a proof does it."""
        setup = self._setups.get(part.unit.stream)
        if setup is None:
            return None
        if gone := self._ledger.deletions.gone(self._bench.migration.name, part.unit.key):
            return sum(bucket.count for bucket in gone.values())
        proof = prove(
            source=self._bench.source,
            target=self._bench.target,
            plan=unit_plan(self._bench.migration, setup, part, index),
            upper=part.unit.period.end,
            rejected=(),
            comparer=RowComparer(setup.shape),
            sample=0,
            seed=0,
        )
        return proof.tally.of(FindingKind.EXTRA)


def unit_plan(migration: Migration, setup: StreamSetup, part: PartFacts, index: str) -> UnitPlan:
    """A unit in the form in which both stores are asked about it."""
    names = migration.names(setup.shape.stream)
    unit = part.unit
    return UnitPlan(
        unit=unit,
        alias=names.unit_alias(unit.tenant, unit.period.label),
        tenant_alias=names.tenant_alias(unit.tenant),
        index=index,
        definition=setup.definition,
        strategy=setup.strategy,
        strategy_reason=setup.strategy_reason,
        share=part.share,
    )
