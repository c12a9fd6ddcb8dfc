"""Proves and repairs one unit for one attempt: the core's reconcile on real stores and ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.certificate import ProofMode, Verdict
from airflow_provider_logmigrate.core.reconcile import (
    ONLY_PROVE,
    Bounds,
    Differences,
    Reconciled,
    Removed,
    reconcile,
    remove_documents,
)
from airflow_provider_logmigrate.core.repair import Copied, copy_keys
from airflow_provider_logmigrate.operators.certify import Look, certify_unit
from airflow_provider_logmigrate.reports import certificate_text

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.certificate import Certificate
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.operators.unit_copy import UnitCopier

LIVE = Bounds()
"""Repairs of a month that is still being written before a difference counts as one."""

IDS_PER_LINE = 100
"""Removed documents named in one line of the log."""


def renewed_certificate(
    copier: UnitCopier, plan: UnitPlan, *, plan_hash: str, sample: int
) -> Certificate:
    """Prove one unit again and store the certificate.

    In a period that is still open rows settle, change and arrive between copy and proof. That is no
    fault, so what differs there is copied and the unit proven again, three times at most. A closed
    period isn't expected to move: its difference is a finding.
    """
    bounds = LIVE if copier.is_live(plan) else ONLY_PROVE
    work = UnitRepairer(copier, plan, plan_hash=plan_hash, sample=sample)
    return work.reconcile(bounds).certificate


class UnitRepairer:
    """Implements :class:`~core.reconcile.Repairer`.

    The unit is claimed with its first repair: a proof alone takes it from nobody.

    :param sample: documents compared field by field.
    :param mode: how closely to compare; the migration's by default.
    """

    def __init__(
        self,
        copier: UnitCopier,
        plan: UnitPlan,
        *,
        plan_hash: str,
        sample: int,
        mode: ProofMode | None = None,
    ) -> None:
        self._copier, self._plan = copier, plan
        self._plan_hash, self._sample, self._mode = plan_hash, sample, mode
        self._look = Look()

    def reconcile(self, bounds: Bounds, *, full: bool = False) -> Reconciled:
        """Prove the unit and repair it as far as the bounds go, see :func:`reconcile`."""
        log, key = self._copier.log, self._plan.key
        done = reconcile(self, bounds, live=self._copier.is_live(self._plan), full=full)
        if done.passes:
            log.info(
                "%s: %s documents copied again and %s removed in %s passes: %s",
                key,
                f"{done.copied:,}",
                f"{done.removed:,}",
                done.passes,
                done.certificate.verdict.value,
            )
        for note in done.notes:
            log.warning("%s: %s", key, note)
        return done

    def prove(self, found: Differences, *, full: bool) -> Certificate:
        """See the port."""
        copier = self._copier
        copier.stop.check(self._plan.key)
        if full or copier.is_live(self._plan):
            self._look = Look()  # rows come and change there: all of it is looked at again
        certificate = certify_unit(
            copier.bench,
            copier.ledger,
            self._plan,
            plan_hash=self._plan_hash,
            sample=self._sample,
            mode=ProofMode.FULL if full else self._mode,
            stop=copier.stop,
            each=found.add,
            look=self._look,
        )
        if certificate.verdict is Verdict.DIFFERENT:
            copier.log.info("%s", certificate_text(certificate))
        return certificate

    def copy(self, keys: Sequence[str]) -> Copied:
        """See the port. :raises Fenced: a newer attempt has the unit."""
        copier, migration = self._copier, self._copier.bench.migration
        return copy_keys(
            keys,
            source=copier.bench.source,
            target=copier.bench.target,
            journal=copier.journal(),
            plan=self._plan,
            previous=copier.claim(self._plan),
            settle_lag=migration.settle_lag,
            limits=migration.limits.copy,
            clock=copier.clock,
            stop=copier.stop,
            pace=copier.pace,
        )

    def copy_hours(self) -> Copied:
        """See the port. :raises Fenced: a newer attempt has the unit."""
        return Copied(self._copier.copy(self._plan).written)

    def remove(self, ids: Sequence[str]) -> Removed:
        """See the port. :raises Fenced: a newer attempt has the unit."""
        self._copier.claim(self._plan)
        bench = self._copier.bench
        return remove_documents(
            self._plan,
            ids,
            source=bench.source,
            target=bench.target,
            permit=self._permit,
            stop=self._copier.stop,
        )

    def _permit(self, ids: Sequence[str]) -> str:
        """Keep what is about to be removed; why it may not be.

        A document without a row may be all that is left of a purged one. A purge is in the ledger
        before its rows go, so whoever missed a row finds its purge here. Asked in this order, a
        batch that ends in between is seen by the second question.
        """
        plan, ledger, migration = self._plan, self._copier.ledger, self._copier.bench.migration
        purging = ledger.deletions.open_units(migration.name, tenant=plan.unit.tenant)
        if purging or ledger.deletions.gone(migration.name, plan.key):
            return "rows were purged: documents without a row may be all that is left of them"
        ledger.units.removing(migration.name, plan.key, ids, attempt=self._copier.attempt)
        for start in range(0, len(ids), IDS_PER_LINE):
            self._copier.log.info(
                "%s: removing from %s, without a row: %s",
                plan.key,
                plan.index,
                ", ".join(ids[start : start + IDS_PER_LINE]),
            )
        return ""
