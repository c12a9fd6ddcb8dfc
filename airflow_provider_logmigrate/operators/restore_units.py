"""Brings a tenant's purged units back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import PlanUnusable, TenantInvalid
from airflow_provider_logmigrate.core.purge import PurgeUnit
from airflow_provider_logmigrate.core.restore import RestoreOutcome, restore_unit
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.operators.purge_plan import purge_desk
from airflow_provider_logmigrate.operators.purge_unit import object_store, settle_interrupted

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.core.purge_ports import Batch
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger


def chosen_units(
    ledger: Ledger, migration: Migration, tenant: str, wanted: Sequence[str] | None
) -> list[str]:
    """Keys of the units to restore.

    :raises TenantInvalid: neither the migration nor the ledger knows the tenant.
    :raises PlanUnusable: one of the units has no purged rows.
    """
    purged = ledger.deletions.units(migration.name, tenant=tenant)
    if not purged and tenant not in migration.tenants:
        raise TenantInvalid("the migration doesn't name this tenant", where=tenant or "''")
    for key in wanted or ():
        if key not in purged:
            raise PlanUnusable(
                "nothing was purged of this unit, or all of it is restored",
                where=key,
                next_step=f"units with purged rows: {', '.join(purged) or 'none'}",
            )
    return list(wanted) if wanted else purged


def bring_back(
    bench: Workbench,
    ledger: Ledger,
    units: Sequence[str],
    *,
    holder: str,
    stop: Stop,
    log: Any,
) -> list[RestoreOutcome]:
    """Restore units one after the other.

    :param holder: who does it, for those who look at the ledger.
    :raises RestoreFailed: see :func:`restore_unit`; batches before it are back.
    """
    from airflow_provider_logmigrate.stores.postgres import partitions
    from airflow_provider_logmigrate.stores.postgres.purge import PostgresPurge
    from airflow_provider_logmigrate.stores.postgres.restore import PostgresRestore
    from airflow_provider_logmigrate.stores.search.prints import ProvenDocuments

    migration = bench.migration.name
    desk = purge_desk(bench, needs_rules=False)
    target = ProvenDocuments(bench.client, {name: r.stream for name, r in desk.rows.items()})
    known = _Plans(bench, ledger)
    made: set[tuple[str, str]] = set()

    def with_partitions(batch: Batch) -> Mapping[Unit, UnitPlan]:
        if (batch.plan, batch.removal.unit) not in made:
            for partition in partitions.bring_back(bench.sessions, known.of(batch).partitions):
                log.info("%s: partition %s is made again", batch.removal.unit, partition.table)
            made.add((batch.plan, batch.removal.unit))
        return known.units(batch)

    with PostgresPurge(bench.sessions, desk.rows, desk.tables, period_of=desk.period_of) as source:
        for tenant in sorted({Unit.from_key(key).tenant for key in units}):
            settle_interrupted(desk, ledger, source, tenant, holder=holder, stop=stop)
    outcomes = []
    for key in units:
        stop.check(key)
        scope = desk.scopes[Unit.from_key(key).stream]
        newest = known.newest(migration, key)
        attempt = ledger.units.begin_attempt()
        ledger.units.claim(migration, newest.plan, attempt=attempt, holder=holder)
        outcome = restore_unit(
            key,
            ledger.deletions.batches(migration, key),
            scope=scope,
            source=PostgresRestore(bench.sessions, desk.rows, desk.tables),
            target=target,
            objects=object_store(bench),
            plans=with_partitions,
            restored=lambda batch: ledger.deletions.mark_restored(migration, batch),
            stop=stop,
        )
        log.info("%s: %s rows are back, proven, %s objects", key, outcome.rows, outcome.objects)
        outcomes.append(outcome)
    return outcomes


class _Plans:
    """Where the documents of a batch are, by the purge plan it was deleted by."""

    def __init__(self, bench: Workbench, ledger: Ledger) -> None:
        self._bench, self._ledger = bench, ledger
        self._units: dict[tuple[str, str], PurgeUnit] = {}

    def newest(self, migration: str, key: str) -> PurgeUnit:
        """The unit as its last purge had it."""
        return self._unit(self._ledger.deletions.newest_plan(migration, key), key)

    def of(self, batch: Batch) -> PurgeUnit:
        """The unit as the batch's purge had it."""
        return self._unit(batch.plan, batch.removal.unit)

    def units(self, batch: Batch) -> Mapping[Unit, UnitPlan]:
        """Every unit that rows of the batch were in.

        :raises PlanUnusable: a stream's columns have changed since.
        """
        unit = self.of(batch)
        for plan in unit.units.values():
            if self._bench.setup(plan.unit.stream).definition != plan.definition:
                raise PlanUnusable(
                    "columns, mapping or configuration changed since the purge",
                    where=plan.key,
                    next_step="restore them as they were (the plan's definition is"
                    f" {plan.definition[:12]}), then run the restore again",
                )
        return unit.units

    def _unit(self, plan_hash: str, key: str) -> PurgeUnit:
        if (plan_hash, key) not in self._units:
            for unit in self._ledger.deletions.plans.load(plan_hash).units:
                self._units[plan_hash, unit.key] = unit
        return self._units[plan_hash, key]
