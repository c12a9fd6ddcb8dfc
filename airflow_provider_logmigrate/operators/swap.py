"""Cut-over and rollback: check certificates, store the inverse, call once, read back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.certificate import Certificate, ProofMode, Verdict
from airflow_provider_logmigrate.core.cutover import plan_swap
from airflow_provider_logmigrate.core.errors import CertificateMissing, LogMigrateError
from airflow_provider_logmigrate.operators.reprove import prove_again

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.plan import Plan, UnitPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.cutovers import Cutover
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from airflow_provider_logmigrate.operators.unit_copy import UnitCopier
    from airflow_provider_logmigrate.stores.search.client import SearchClient


@dataclass(frozen=True, slots=True)
class SwapResult:
    """What a cut-over did.

    :param cutover: its id, ``None`` if every alias was right already.
    :param withheld: units left out, with the reason.
    """

    cutover: str | None
    swapped: tuple[str, ...]
    withheld: Mapping[str, str]
    actions: int


def cut_over(
    bench: Workbench,
    ledger: Ledger,
    plan: Plan,
    *,
    copier: UnitCopier,
    run: str,
    new_only: bool = False,
) -> SwapResult:
    """Swap a plan's certified units.

    A period that is still open may have moved on since its proof: it is brought up to date and
    proven once more before its certificate counts as untrue.

    :param run: key of the run; with the actions it makes the cut-over's id, so a retry finds
        what the attempt before stored.
    :param new_only: pass over units that readers see already: nothing would be switched, so their
        certificates needn't be renewed for it.
    :raises CertificateMissing: see :class:`AliasSwapOperator`.
    """
    from airflow_provider_logmigrate.operators.unit_repair import renewed_certificate
    from airflow_provider_logmigrate.stores.search import alias

    units = _unseen(bench, plan.units) if new_only else plan.units
    certificates = ledger.certificates.latest_by_unit(
        bench.migration.name, units=[unit.key for unit in units]
    )
    accepted = bench.migration.limits.accept_rejected
    chosen: list[UnitPlan] = []
    relied_on: list[str] = []
    withheld: dict[str, str] = {}
    for unit in units:
        certificate = _require(certificates.get(unit.key), unit)
        live = copier.is_live(unit)
        if live:
            renewed = renewed_certificate(
                copier, unit, plan_hash=plan.hash, sample=bench.migration.sample
            )
            certificate = _require(renewed, unit)
        if not certificate.compares_rows:
            withheld[unit.key] = (
                "its certificate only counts rows: validate it with the mode fingerprint, sample or"
                " full"
            )
            continue
        if not certificate.allows_cutover(accept_rejected=accepted):
            withheld[unit.key] = (
                f"{certificate.rejected} rejected documents, {accepted} are accepted: the next run"
                " sends them again; or waive them; or raise limits.accept_rejected"
            )
            continue
        if not live:
            _still_true(bench, ledger, unit, certificate)
        relied_on.append(certificate.id)
        chosen.append(unit)
    names = sorted({n for unit in chosen for n in (unit.alias, unit.tenant_alias)})
    current, indices = alias.current_aliases(bench.client, names)
    swap = plan_swap(chosen, current=current, indices=indices)
    keys = tuple(unit.key for unit in chosen)
    if not swap.actions:
        return SwapResult(None, keys, withheld, 0)
    cutover = hashlib.sha256(f"{run} {swap.hash}".encode()).hexdigest()[:12]
    ledger.cutovers.plan(
        cutover_id=cutover,
        migration=plan.migration,
        tenant=plan.tenant,
        swap=swap,
        certificates=relied_on,
    )
    try:
        alias.apply(bench.client, swap.actions)
    except LogMigrateError as error:
        ledger.cutovers.mark_failed(cutover, str(error))
        raise
    ledger.cutovers.mark_applied(cutover)
    return SwapResult(cutover, keys, withheld, len(swap.actions))


def _unseen(bench: Workbench, units: Sequence[UnitPlan]) -> list[UnitPlan]:
    """Units whose aliases don't show exactly their index."""
    from airflow_provider_logmigrate.stores.search import alias

    names = sorted({name for unit in units for name in (unit.alias, unit.tenant_alias)})
    current, indices = alias.current_aliases(bench.client, names)
    return [u for u in units if plan_swap([u], current=current, indices=indices).actions]


def roll_back(client: SearchClient, ledger: Ledger, cutover: Cutover, *, by: str) -> None:
    """Run a cut-over's stored inverse in one atomic call.

    :raises TargetRefused: aliases have moved on since, so the inverse doesn't fit any more.
    """
    from airflow_provider_logmigrate.stores.search import alias

    alias.apply(client, cutover.inverse)
    ledger.cutovers.mark_rolled_back(cutover.id, by=by)


def _require(certificate: Certificate | None, unit: UnitPlan) -> Certificate:
    if certificate is None:
        raise CertificateMissing("the unit has no certificate", where=unit.key)
    if certificate.index != unit.index or certificate.definition != unit.definition:
        raise CertificateMissing(
            f"the unit's certificate is about {certificate.index}, not {unit.index}",
            where=unit.key,
        )
    if certificate.verdict is Verdict.DIFFERENT:
        raise CertificateMissing(
            f"certificate {certificate.id} says the unit differs: {dict(certificate.tally.counts)}",
            where=unit.key,
        )
    return certificate


def _still_true(bench: Workbench, ledger: Ledger, unit: UnitPlan, certificate: Certificate) -> None:
    """Sum both sides up again and compare them with the certificate and with each other.

    Hours that differ are listed by id: only rows in the dead letters may be missing.
    """
    again = prove_again(bench, ledger, unit, certificate, mode=ProofMode.FINGERPRINT)
    if again.differences:
        now = again.proof
        documents = now.target.total.count + now.target.outside
        raise CertificateMissing(
            f"certificate {certificate.id} isn't true any more: the source had"
            f" {certificate.rows:,} settled rows and has {now.source.total.count:,}, the index had"
            f" {certificate.documents:,} documents and has {documents:,}; found now:"
            f" {dict(now.tally.counts) or 'no difference'}",
            where=unit.key,
        )
