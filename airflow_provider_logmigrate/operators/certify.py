"""Makes and re-checks certificates of units."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.backfill import upper_bound
from airflow_provider_logmigrate.core.certificate import Certificate, FindingKind
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.verify import prove

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger


def certify_unit(
    bench: Workbench,
    ledger: Ledger,
    plan: UnitPlan,
    *,
    plan_hash: str,
    sample: int,
    seed: int | None = None,
) -> Certificate:
    """Prove one unit now and store the certificate, true or false.

    :param sample: documents to compare field by field.
    :param seed: repeats an earlier random choice; a new one by default.
    """
    now = datetime.now(timezone.utc)
    upper = upper_bound(plan.unit.period, now=now, settle_lag=bench.migration.settle_lag)
    seed = secrets.randbelow(2**31) if seed is None else seed
    rejected = ledger.dead_letters.open_keys(bench.migration.name, plan.key)
    proof = prove(
        source=bench.source,
        target=bench.target,
        plan=plan,
        upper=upper,
        rejected=rejected,
        comparer=RowComparer(bench.setup(plan.unit.stream).shape),
        sample=sample,
        seed=seed,
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
        mode="fingerprint+sample" if sample else "fingerprint",
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
