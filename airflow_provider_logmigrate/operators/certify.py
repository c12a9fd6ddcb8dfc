"""Makes and re-checks certificates of units."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.backfill import upper_bound
from airflow_provider_logmigrate.core.certificate import Certificate, FindingKind, ProofMode
from airflow_provider_logmigrate.core.clock import SystemClock
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.purged import PurgedSource
from airflow_provider_logmigrate.core.verify import prove

_MODES = {
    ProofMode.FINGERPRINT: "fingerprint",
    ProofMode.SAMPLE: "fingerprint+sample",
    ProofMode.FULL: "full",
}
"""As certificates say it."""

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.core.ports import Source
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger


def certify_unit(
    bench: Workbench,
    ledger: Ledger,
    plan: UnitPlan,
    *,
    plan_hash: str,
    sample: int,
    mode: ProofMode | None = None,
    seed: int | None = None,
    stop: Stop | None = None,
) -> Certificate:
    """Prove one unit now and store the certificate, true or false.

    :param sample: documents to compare field by field.
    :param mode: how closely to compare; the migration's by default.
    :param seed: repeats an earlier random choice; a new one by default.
    :param stop: ends a full proof, which takes a while.
    """
    mode = mode or bench.migration.proof
    sample = 0 if mode is ProofMode.FINGERPRINT else sample
    if mode is ProofMode.SAMPLE and not sample:
        mode = ProofMode.FINGERPRINT
    now = datetime.now(timezone.utc)
    upper = upper_bound(plan.unit.period, now=now, settle_lag=bench.migration.settle_lag)
    seed = secrets.randbelow(2**31) if seed is None else seed
    rejected = ledger.dead_letters.open_keys(bench.migration.name, plan.key)
    proof = prove(
        source=proven_source(bench, ledger, plan),
        target=bench.target,
        plan=plan,
        upper=upper,
        rejected=rejected,
        comparer=RowComparer(bench.setup(plan.unit.stream).shape),
        sample=sample,
        seed=seed,
        full=mode is ProofMode.FULL,
        stop=stop,
        guard=bench.source_guard(clock=SystemClock()),
    )
    still_rejected = {f.key for f in proof.tally.listed if f.kind is FindingKind.REJECTED}
    count = proof.tally.of(FindingKind.REJECTED)
    if count == len(still_rejected) and (arrived := rejected - still_rejected):
        ledger.dead_letters.resolve(bench.migration.name, plan.key, arrived)
    total = proof.source.total
    youngest = proof.source.max_event_time
    certificate = Certificate(
        id=str(uuid.uuid4()),
        unit=plan.key,
        index=plan.index,
        definition=plan.definition,
        plan_hash=plan_hash,
        mode=_MODES[mode],
        verdict=proof.verdict,
        rows=total.count,
        documents=proof.target.total.count + proof.target.outside,
        held_back=proof.source.held_back,
        pending=proof.source.pending,
        rejected=count,
        high=total.high,
        low=total.low,
        upper=upper.isoformat(),
        as_of=now.isoformat(),
        max_event_time=youngest.isoformat() if youngest else None,
        sampled=proof.sampled,
        seed=seed,
        tally=proof.tally,
    )
    ledger.certificates.save(bench.migration.name, certificate)
    return certificate


def proven_source(bench: Workbench, ledger: Ledger, plan: UnitPlan) -> Source:
    """The source as a proof has to see it: what was purged of the unit still counts."""
    gone = ledger.deletions.gone(bench.migration.name, plan.key)
    return PurgedSource(bench.source, bench.target, gone) if gone else bench.source
