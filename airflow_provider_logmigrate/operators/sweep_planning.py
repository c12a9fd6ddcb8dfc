"""From an opened migration to the plan of a sweep, or to an unfinished one that goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.checkpoint import Phase
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.sweep import (
    Relation,
    SweepPlan,
    SweptStream,
    cut_parts,
    swept_streams,
)
from airflow_provider_logmigrate.operators.planning import Planner
from airflow_provider_logmigrate.operators.retired import retired_units
from airflow_provider_logmigrate.stores.postgres.blocks import BLOCK_PLAN, check_scan, relations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_logmigrate.core.plan import Plan, UnitPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.operators.options import RunOptions


@dataclass(frozen=True, slots=True)
class PlannedSweep:
    """A sweep that can be worked on.

    :param number: in the ledger.
    :param resumed: it was planned before and goes on where it broke off.
    """

    number: int
    plan: SweepPlan
    resumed: bool = False


def plan_sweep(bench: Workbench, ledger: Ledger, options: RunOptions) -> PlannedSweep | None:
    """Plan a sweep of the streams that want one, or take up the migration's unfinished one.

    An unfinished sweep goes on if it has the same streams, tenants and definitions and its tables
    weren't written anew. Units that were copied before are left out: their tenants' backfill
    repairs what differs.

    :returns: ``None`` if no stream is to be swept, or nothing is left to copy.
    :raises SourceUnsuitable: a table can't be read by its blocks.
    """
    migration = bench.migration
    reasons = swept_streams(
        {setup.shape.stream.name: setup.strategy for setup in bench.setups},
        migration.strategies,
        tenants=len(migration.tenants),
    )
    if not reasons:
        return None
    swept = replace(bench, setups=tuple(s for s in bench.setups if s.shape.stream.name in reasons))
    number = ledger.sweeps.unfinished(migration.name)
    if number is not None and (before := _still_good(swept, ledger, options, number)):
        return PlannedSweep(number, before, resumed=True)
    plan = _new_plan(swept, ledger, options, reasons)
    return PlannedSweep(ledger.sweeps.begin(plan), plan) if plan.units else None


def _new_plan(
    bench: Workbench, ledger: Ledger, options: RunOptions, reasons: Mapping[str, str]
) -> SweepPlan:
    migration = bench.migration
    tenants = migration.tenants
    periods = options.periods(migration)
    planner = Planner(bench, tenants, options, retired=retired_units(migration, ledger))
    plans = [
        planner.plan(tenant)
        for tenant in tenants
        # A tenant without rows would be looked for in the whole table: one scan each.
        if any(planner.survey(setup.shape.stream.name, tenant, periods) for setup in bench.setups)
    ]
    units = _not_copied(bench, ledger, [unit for plan in plans for unit in plan.units])
    # After the survey, so that every row that was counted lies within the blocks.
    places = [
        (name, relation)
        for name, found in table_places(bench).items()
        for relation in found
        if any(unit.unit.stream == name for unit in units)
    ]
    return SweepPlan(
        migration=migration.name,
        granularity=migration.period,
        first=min((period.start for period in periods), default=options.ripe),
        end=max((period.end for period in periods), default=options.ripe),
        ripe=options.ripe,
        tenants=tuple(tenants),
        streams=tuple(
            SweptStream(
                name=setup.shape.stream.name,
                reason=reasons[setup.shape.stream.name],
                definition=setup.definition,
                rows=_rows(units, setup.shape.stream.name),
                body=setup.body,
            )
            for setup in bench.setups
        ),
        units=tuple(units),
        parts=cut_parts(places, lanes=migration.lanes),
        warnings=_warnings(plans, reasons),
    )


def table_places(bench: Workbench) -> dict[str, tuple[Relation, ...]]:
    """The tables that hold each stream's rows, checked for being readable by blocks.

    :raises SourceUnsuitable: one isn't.
    """
    found = {}
    with bench.sessions.session(BLOCK_PLAN) as session:
        for setup in bench.setups:
            stream = setup.shape.stream
            found[stream.name] = session.run(lambda c, s=stream: relations(c, s))  # type: ignore[misc]
            for relation in found[stream.name]:
                session.run(lambda c, r=relation: check_scan(c, r))  # type: ignore[misc]
    return found


def _not_copied(bench: Workbench, ledger: Ledger, units: list[UnitPlan]) -> list[UnitPlan]:
    states = {state.unit: state for state in ledger.units.states(bench.migration.name)}

    def is_copied(unit: UnitPlan) -> bool:
        state = states.get(unit.key)
        return (
            state is not None
            and state.phase is Phase.COPIED
            and state.definition == unit.definition
            and bench.index_exists(unit)
        )

    return [unit for unit in units if not is_copied(unit)]


def _still_good(
    bench: Workbench, ledger: Ledger, options: RunOptions, number: int
) -> SweepPlan | None:
    """The unfinished sweep, if it is what would be planned now."""
    migration = bench.migration
    try:
        plan = ledger.sweeps.load(number)
    except PlanUnusable:
        return None
    periods = options.periods(migration)
    wanted = {setup.shape.stream.name: setup.definition for setup in bench.setups}
    files = {
        (name, str(relation)): relation.file
        for name, found in table_places(bench).items()
        for relation in found
    }
    swept = {state.part for state in ledger.sweep_parts.list(number) if state.swept}
    same = (
        plan.tenants == migration.tenants
        and {stream.name: stream.definition for stream in plan.streams} == wanted
        and plan.granularity is migration.period
        and bool(periods)
        and plan.first == min(period.start for period in periods)
        and plan.end <= max(period.end for period in periods)
        and all(
            part.number in swept
            or files.get((part.stream, str(part.relation))) == part.relation.file
            for part in plan.parts
        )
    )
    return plan if same else None


def _rows(units: list[UnitPlan], stream: str) -> int:
    return sum(u.estimate.rows for u in units if u.estimate and u.unit.stream == stream)


def _warnings(plans: list[Plan], swept: Mapping[str, str]) -> tuple[str, ...]:
    """What tenants' plans warn of, without how each would be read by itself."""
    beside = tuple(f"{name}: read " for name in swept)
    found = dict.fromkeys(warning for plan in plans for warning in plan.warnings)
    return tuple(warning for warning in found if not warning.startswith(beside))
