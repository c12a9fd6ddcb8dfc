"""Carries out a purge plan: everything that forbids a deletion is looked at again, per unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import LogMigrateError, PlanUnusable
from airflow_provider_logmigrate.core.purge_fate import finish_open
from airflow_provider_logmigrate.core.purge_run import FIRST_BATCH, PurgeOutcome, purge_unit
from airflow_provider_logmigrate.operators.purge_plan import PurgeDesk, purge_desk

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.core.purge import PurgePlan, PurgeUnit
    from airflow_provider_logmigrate.core.purge_ports import PurgeSource
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.hooks.content import ObjectStorageContent
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.stores.postgres.bloat import Bloat


@dataclass(slots=True)
class PurgeReport:
    """What a purge did.

    :param refused: units that may not be purged any more, with the reasons.
    :param objects: deleted objects; ``objects_left`` couldn't be deleted yet.
    :param partitions: that were empty and are dropped.
    :param tables: the tables afterwards.
    """

    outcomes: list[PurgeOutcome] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    objects: int = 0
    objects_left: int = 0
    partitions: list[str] = field(default_factory=list)
    tables: list[Bloat] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, int]:
        """Deleted rows by table."""
        total: dict[str, int] = {}
        for outcome in self.outcomes:
            for table, count in outcome.rows.items():
                total[table] = total.get(table, 0) + count
        return total

    def to_json(self) -> dict[str, Any]:
        """Small facts for an XCom."""
        return {
            "rows": self.rows,
            "units": {o.unit: sum(o.rows.values()) + o.settled for o in self.outcomes},
            "stayed": {o.unit: dict(o.stayed) for o in self.outcomes if o.stayed},
            "left_behind": {o.unit: dict(o.left_behind) for o in self.outcomes if o.left_behind},
            "refused": dict(self.refused),
            "objects": self.objects,
            "objects_left": self.objects_left,
            "partitions": list(self.partitions),
            "advice": [line for table in self.tables for line in table.advice],
        }


def carry_out(
    bench: Workbench,
    ledger: Ledger,
    plan: PurgePlan,
    *,
    plan_hash: str,
    holder: str,
    clock: Any,
    stop: Stop,
    log: Any,
) -> PurgeReport:
    """Purge a plan's units one after the other.

    :param holder: who does it, for those who look at the ledger.
    """
    from airflow_provider_logmigrate.stores.postgres.partitions import drop_empty
    from airflow_provider_logmigrate.stores.postgres.purge import PostgresPurge
    from airflow_provider_logmigrate.stores.search.prints import ProvenDocuments

    desk = purge_desk(bench)
    settings = bench.migration.purge
    assert settings is not None  # purge_desk has looked
    report = PurgeReport()
    content = object_store(bench)
    pace = bench.pace(clock=clock)
    if settings.snapshot and plan.units:
        _snapshot(bench, plan, plan_hash, settings.snapshot, stop=stop)
    target = ProvenDocuments(bench.client, {name: rows.stream for name, rows in desk.rows.items()})
    with PostgresPurge(bench.sessions, desk.rows, desk.tables, period_of=desk.period_of) as source:
        settle_interrupted(desk, ledger, source, plan.tenant, holder=holder, stop=stop)
        delete_objects(ledger, plan.migration, content, report, log)
        for unit in plan.units:
            stop.check(unit.key)
            if why := _why_not(desk, ledger, unit):
                report.refused[unit.key] = why
                log.warning("%s isn't purged: %s", unit.key, why)
                continue
            for proven in unit.units.values():
                target.refresh(proven)
            attempt = ledger.units.begin_attempt()
            ledger.units.claim(plan.migration, unit.plan, attempt=attempt, holder=holder)
            outcome = purge_unit(
                unit,
                desk.scopes[unit.plan.unit.stream],
                source=source,
                target=target,
                objects=content,
                log=ledger.deletions.attempt(
                    plan.migration,
                    unit,
                    plan_hash=plan_hash,
                    attempt=attempt,
                    recheck=lambda unit=unit: _recheck(desk, ledger, unit),  # type: ignore[misc]
                ),
                clock=clock,
                stop=stop,
                aim=settings.batch_seconds,
                size=report.outcomes[-1].size if report.outcomes else FIRST_BATCH,
                sessions=settings.sessions,
                before_batch=lambda key=unit.key: pace.before_page(stop, key),  # type: ignore[misc]
            )
            report.outcomes.append(outcome)
            _tell(log, outcome)
            for dropped in drop_empty(bench.sessions, unit.partitions):
                ledger.deletions.partition_dropped(plan.migration, unit.key, dropped.table)
                report.partitions.append(dropped.table)
                log.info("%s: partition %s was empty and is dropped", unit.key, dropped.table)
            delete_objects(ledger, plan.migration, content, report, log)
    if report.rows:
        _tell_tables(bench, report, log, vacuumed=settings.vacuum)
    return report


def _snapshot(
    bench: Workbench, plan: PurgePlan, plan_hash: str, repository: str, *, stop: Stop
) -> None:
    """One snapshot per plan, of every index that will hold the only copy of something."""
    from airflow_provider_logmigrate.stores.search import snapshot

    indices = sorted({proven.index for unit in plan.units for proven in unit.units.values()})
    name = f"logmigrate-purge-{plan_hash[:16]}"
    snapshot.take(bench.client, repository, name, indices, stop=stop)


def _tell_tables(bench: Workbench, report: PurgeReport, log: Any, *, vacuumed: bool) -> None:
    from airflow_provider_logmigrate.stores.postgres.bloat import bloat, vacuum

    names = list(report.rows)
    if vacuumed:
        vacuum(bench.sessions, names)
    report.tables = bloat(bench.sessions, names)
    for table in report.tables:
        log.info(
            "%s: %s live and %s dead rows, %.1f MB, indexes %.1f MB; %s",
            table.table,
            f"{table.live:,}",
            f"{table.dead:,}",
            table.bytes / 1e6,
            table.index_bytes / 1e6,
            " or ".join(table.advice),
        )


def settle_interrupted(
    desk: PurgeDesk,
    ledger: Ledger,
    source: PurgeSource,
    tenant: str,
    *,
    holder: str,
    stop: Stop,
) -> None:
    """Find out what became of a tenant's batches whose end nobody saw; takes their units over."""
    migration = desk.bench.migration.name
    for key in ledger.deletions.open_units(migration, tenant=tenant):
        plan_hash = ledger.deletions.newest_plan(migration, key)
        units = {unit.key: unit for unit in ledger.deletions.plans.load(plan_hash).units}
        attempt = ledger.units.begin_attempt()
        ledger.units.claim(migration, units[key].plan, attempt=attempt, holder=holder)
        log = ledger.deletions.attempt(migration, units[key], plan_hash=plan_hash, attempt=attempt)
        scope = desk.scopes[units[key].plan.unit.stream]
        finish_open(source, log, scope, stop=stop, where=key)


def object_store(bench: Workbench) -> ObjectStorageContent | None:
    """The migration's object storage, if it follows offloaded content."""
    from airflow_provider_logmigrate.hooks.content import ObjectStorageContent

    offload = bench.migration.offload
    return ObjectStorageContent(offload.url, conn_id=offload.connection) if offload else None


def delete_objects(
    ledger: Ledger,
    migration: str,
    content: ObjectStorageContent | None,
    report: PurgeReport,
    log: Any,
) -> None:
    """Delete objects whose rows are gone, those of earlier runs first; failures stay pending."""
    if content is None:
        return
    left = 0
    for item in ledger.deletions.pending_objects(migration):
        try:
            content.delete(item.key)
        except LogMigrateError as error:
            log.warning("Object %s isn't deleted yet: %s", item.key, error)
            ledger.deletions.object_failed(item.id, str(error))
            left += 1
        else:
            ledger.deletions.object_deleted(item.id)
            report.objects += 1
    report.objects_left = left


def _why_not(desk: PurgeDesk, ledger: Ledger, unit: PurgeUnit) -> str:
    """What forbids the unit now; the plan's units that go along included."""
    units = unit.units.values()
    certificates = ledger.certificates.latest_by_unit(
        desk.bench.migration.name, units=[plan.key for plan in units]
    )
    found = desk.why_not(units, certificates, now=datetime.now(timezone.utc))
    return next((f"{key}: {'; '.join(reasons)}" for key, reasons in found.items() if reasons), "")


def _recheck(desk: PurgeDesk, ledger: Ledger, unit: PurgeUnit) -> None:
    if why := _why_not(desk, ledger, unit):
        raise PlanUnusable(
            f"the unit may not be purged any more: {why}",
            where=unit.key,
            next_step="make a new purge plan; what was deleted so far is in the ledger",
        )


def _tell(log: Any, outcome: PurgeOutcome) -> None:
    log.info(
        "%s: deleted %s in %s batches, the longest took %.2f s",
        outcome.unit,
        dict(outcome.rows) or "nothing",
        outcome.batches,
        outcome.longest,
    )
    for reason, count in outcome.stayed.items():
        log.warning(
            "%s: %s stay with all that hangs on them, for example %s: %s",
            outcome.unit,
            count,
            outcome.examples[reason],
            reason,
        )
    for table, count in outcome.left_behind.items():
        log.warning(
            "%s: %s rows of %s were written for deleted rows meanwhile; the next run copies them",
            outcome.unit,
            count,
            table,
        )
