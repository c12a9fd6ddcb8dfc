"""Which of a tenant's units may leave the source now, and why the others stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import PlanUnusable, TenantInvalid
from airflow_provider_logmigrate.core.purge import (
    Partition,
    PurgePlan,
    PurgeRules,
    PurgeUnit,
    reasons_to_keep,
)
from airflow_provider_logmigrate.core.purge_scope import Scope, scope_of
from airflow_provider_logmigrate.core.unit import Granularity, day_of, month_of

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.core.certificate import Certificate
    from airflow_provider_logmigrate.core.plan import Plan, UnitPlan
    from airflow_provider_logmigrate.core.unit import Period
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.stores.postgres.purge_tables import Tables
    from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql


@dataclass(frozen=True, slots=True)
class PurgeDesk:
    """What a purge works with, looked up once.

    :param scopes: by stream name.
    """

    bench: Workbench
    rules: PurgeRules
    scopes: Mapping[str, Scope]
    rows: Mapping[str, RowSql]
    tables: Tables

    def period_of(self, moment: datetime) -> Period:
        """The period of an event time."""
        of = day_of if self.bench.migration.period is Granularity.DAY else month_of
        return of(moment)

    def why_not(
        self,
        units: Iterable[UnitPlan],
        certificates: Mapping[str, Certificate],
        *,
        now: datetime,
    ) -> dict[str, tuple[str, ...]]:
        """Why rows of units may not be deleted now, by everything but the rows; by unit key.

        :param certificates: the newest ones, by unit key.
        """
        from airflow_provider_logmigrate.stores.search import alias

        units = list(units)
        names = sorted({unit.alias for unit in units})
        aliases, _ = alias.current_aliases(self.bench.client, names)
        return {
            unit.key: tuple(
                reasons_to_keep(
                    unit,
                    certificate=certificates.get(unit.key),
                    definition=self.bench.setup(unit.unit.stream).definition,
                    shown=dict(aliases.get(unit.alias, {})) == {unit.index: unit.share},
                    rules=self.rules,
                    now=now,
                )
            )
            for unit in units
        }


def purge_desk(bench: Workbench, *, needs_rules: bool = True) -> PurgeDesk:
    """Look at the tables of every scope.

    :param needs_rules: False for a restore, which deletes nothing.
    :raises PlanUnusable: the migration doesn't allow a purge.
    """
    from airflow_provider_logmigrate.stores.postgres.purge_tables import look_up
    from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql

    migration = bench.migration
    rows = {}
    for setup in bench.setups:
        name = setup.shape.stream.name
        facts = bench.source.preflight(name).facts
        rows[name] = RowSql(setup.shape, not_null=facts.not_null)
    streams = [setup.shape.stream for setup in bench.setups]
    names = [
        *(stream.table for stream in streams),
        *(d.table for stream in streams for d in stream.dependents),
        *(r.table for stream in streams for r in stream.references),
    ]
    tables = look_up(bench.sessions, names)
    shapes = {setup.shape.stream.name: setup.shape for setup in bench.setups}
    scopes = {
        stream.name: scope_of(
            stream,
            copied=shapes,
            existing=tables.facts,
            follows_content=migration.offload is not None,
        )
        for stream in streams
    }
    rules = purge_rules(migration) if needs_rules else PurgeRules(timedelta.max)
    return PurgeDesk(bench, rules, scopes, rows, tables)


def purge_rules(migration: Migration) -> PurgeRules:
    """The migration's rules. :raises PlanUnusable: it has none, so nothing may be deleted."""
    settings = migration.purge
    if settings is None:
        raise PlanUnusable(
            "the migration doesn't allow a purge",
            where=f"migrations.{migration.name}.purge",
            next_step="give the migration a `purge` block",
        )
    return PurgeRules(settings.floor_age, settings.holds, migration.limits.accept_rejected)


def make_purge_plan(
    bench: Workbench, ledger: Ledger, tenant: str, *, before: date | None, now: datetime
) -> PurgePlan:
    """Judge every unit of the tenant that was ever copied, and count what would go.

    Reads only. Units without a row that may go stand in neither list.

    :param before: only periods that end by the start of this day.
    :raises TenantInvalid: the tenant isn't part of the migration.
    """
    migration = bench.migration
    if tenant not in migration.tenants:
        raise TenantInvalid("the migration doesn't name this tenant", where=tenant or "''")
    desk = purge_desk(bench)
    judge = _Judge(desk, ledger, now)
    units: list[PurgeUnit] = []
    kept: dict[str, tuple[str, ...]] = {}
    obstacles: dict[str, tuple[list[str], list[str]]] = {}
    interrupted = ledger.deletions.open_units(migration.name, tenant=tenant)
    for state in ledger.units.states(migration.name, tenant=tenant):
        if state.stream not in desk.scopes:
            kept[state.unit] = ("the source has no such stream (any more)",)
            continue
        plan = judge.plan(state.unit)
        if plan is None:
            kept[state.unit] = ("it has no certificate",)
            continue
        if before is not None and plan.unit.period.end > _midnight(before):
            kept[state.unit] = (f"it isn't over before {before}",)
            continue
        scope = desk.scopes[state.stream]
        if scope.stream.name not in obstacles:
            obstacles[scope.stream.name] = _obstacles(desk, scope)
        forbidding, notes = obstacles[scope.stream.name]
        unit, reasons = judge.unit(plan, scope)
        if reasons or (unit is not None and forbidding):
            kept[state.unit] = (*forbidding, *reasons)
        elif unit is not None:
            units.append(replace(unit, notes=(*unit.notes, *notes)))
        elif state.unit in interrupted:
            kept[state.unit] = ("an interrupted purge of it isn't finished: clear its task",)
    return PurgePlan(
        migration=migration.name,
        tenant=tenant,
        units=tuple(units),
        kept=kept,
        options={"before": before.isoformat() if before else None},
    )


class _Judge:
    def __init__(self, desk: PurgeDesk, ledger: Ledger, now: datetime) -> None:
        self._desk, self._ledger, self._now = desk, ledger, now
        self._certificates = ledger.certificates.latest_by_unit(desk.bench.migration.name)
        self._plans: dict[str, Plan | None] = {}
        self._reasons: dict[str, tuple[str, ...]] = {}

    def plan(self, key: str) -> UnitPlan | None:
        """A unit as its newest certificate's plan has it."""
        certificate = self._certificates.get(key)
        if certificate is None:
            return None
        if certificate.plan_hash not in self._plans:
            try:
                found = self._ledger.plans.load(certificate.plan_hash)
            except PlanUnusable:
                self._plans[certificate.plan_hash] = None
            else:
                self._plans[certificate.plan_hash] = found
        stored = self._plans[certificate.plan_hash]
        for unit in stored.units if stored else ():
            if unit.key == key:
                return replace(unit, body={}, estimate=None)
        return None

    def unit(self, plan: UnitPlan, scope: Scope) -> tuple[PurgeUnit | None, tuple[str, ...]]:
        """What a purge of the unit would take, or why it takes nothing."""
        from airflow_provider_logmigrate.stores.postgres.purge_survey import survey_purge

        desk = self._desk
        reasons = self._why_not(plan)
        if reasons:
            return None, reasons
        survey = survey_purge(
            desk.bench.sessions,
            scope,
            desk.rows,
            desk.tables,
            plan,
            period_of=desk.period_of,
        )
        if not survey.rows[scope.stream.table]:
            held = survey.held_back
            return None, (f"{held:,} rows aren't settled",) if held else ()
        along: list[UnitPlan] = []
        notes: list[str] = []
        certificates = {plan.key: self._certificates[plan.key].id}
        for other in sorted(survey.units - {plan.unit}):
            found = self.plan(other.key)
            why = ("it has no certificate",) if found is None else self._why_not(found)
            if found is None or why:
                notes.append(f"rows with rows in {other.key} stay: {'; '.join(why)}")
                continue
            along.append(found)
            certificates[found.key] = self._certificates[found.key].id
        notes += [
            f"rows with {n:,} rows of {t} in no period stay" for t, n in survey.unplaced.items()
        ]
        partitions = self._partitions((plan, *along))
        notes += [f"partition {p.table} is dropped once it is empty" for p in partitions]
        unit = PurgeUnit(
            plan=plan,
            along=tuple(along),
            certificates=certificates,
            rows=survey.rows,
            bytes=survey.bytes,
            held_back=survey.held_back,
            references={table: n for table, n in survey.references.items() if n},
            notes=tuple(notes),
            partitions=partitions,
        )
        return unit, ()

    def _partitions(self, plans: Iterable[UnitPlan]) -> tuple[Partition, ...]:
        from airflow_provider_logmigrate.stores.postgres.partitions import covered

        desk = self._desk
        return tuple(
            found
            for plan in plans
            for found in desk.bench.sessions.run(
                lambda c, plan=plan: list(covered(c, desk.rows[plan.unit.stream], plan))  # type: ignore[misc]
            )
        )

    def _why_not(self, plan: UnitPlan) -> tuple[str, ...]:
        if plan.key not in self._reasons:
            self._reasons |= self._desk.why_not([plan], self._certificates, now=self._now)
        return self._reasons[plan.key]


def _obstacles(desk: PurgeDesk, scope: Scope) -> tuple[list[str], list[str]]:
    from airflow_provider_logmigrate.stores.postgres.purge_tables import obstacles

    forbidding, notes = obstacles(desk.bench.sessions, scope)
    return [*scope.obstacles, *forbidding], notes


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)


def plan_facts(plan: PurgePlan, plan_hash: str) -> dict[str, Any]:
    """What goes into an XCom: small facts for the approval."""
    return {
        "plan": plan_hash,
        "tenant": plan.tenant,
        "units": len(plan.units),
        "rows": plan.rows,
        "kept": len(plan.kept),
    }
