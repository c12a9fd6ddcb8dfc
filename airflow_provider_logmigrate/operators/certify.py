"""Makes and re-checks certificates of units."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.backfill import upper_bound
from airflow_provider_logmigrate.core.certificate import (
    Certificate,
    Finding,
    FindingKind,
    ProofMode,
)
from airflow_provider_logmigrate.core.clock import SystemClock
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.purged import PurgedSource
from airflow_provider_logmigrate.core.verify import Proof, prove

MODES = {
    ProofMode.COUNT: "count",
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


@dataclass(slots=True)
class Look:
    """What a proof saw, for one a moment later that needn't sum up equal hours again.

    :param as_of: when the oldest part of it was seen.
    """

    proof: Proof | None = None
    as_of: datetime = datetime.max  # noqa: DTZ901 - replaced by the first proof


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
    each: Callable[[Finding], None] | None = None,
    look: Look | None = None,
) -> Certificate:
    """Prove one unit now and store the certificate, true or false.

    :param sample: documents to compare field by field.
    :param mode: how closely to compare; the migration's by default.
    :param seed: repeats an earlier random choice; a new one by default.
    :param stop: ends a full proof, which takes a while.
    :param each: takes every finding.
    :param look: what the proof before a repair saw, if it was of a closed period; takes what this
        one saw.
    """
    look = look or Look()
    mode = mode or bench.migration.proof
    sample = 0 if mode in (ProofMode.COUNT, ProofMode.FINGERPRINT) else sample
    if mode is ProofMode.SAMPLE and not sample:
        mode = ProofMode.FINGERPRINT
    now = datetime.now(timezone.utc)
    upper = upper_bound(plan.unit.period, now=now, settle_lag=bench.migration.settle_lag)
    seed = secrets.randbelow(2**31) if seed is None else seed
    letters = ledger.dead_letters.unresolved(bench.migration.name, plan.key)
    named: set[str] = set()

    def take(finding: Finding) -> None:
        if finding.key in letters.all:
            named.add(finding.key)
        if each is not None:
            each(finding)

    gone = ledger.deletions.gone(bench.migration.name, plan.key)
    proof = prove(
        source=PurgedSource(bench.source, bench.target, gone) if gone else bench.source,
        target=bench.target,
        plan=plan,
        upper=upper,
        rejected=letters.rejected,
        waived=letters.waived,
        comparer=RowComparer(bench.setup(plan.unit.stream).shape),
        sample=sample,
        seed=seed,
        full=mode is ProofMode.FULL,
        prints=mode is not ProofMode.COUNT,
        stop=stop,
        guard=bench.source_guard(clock=SystemClock()),
        each=take,
        before=look.proof,
    )
    look.as_of = look.as_of if look.proof else now
    look.proof = proof
    arrived = _arrived(bench, plan, letters.all - named) if mode is not ProofMode.COUNT else ()
    total = proof.source.total
    youngest = proof.source.max_event_time
    certificate = Certificate(
        id=str(uuid.uuid4()),
        unit=plan.key,
        index=plan.index,
        definition=plan.definition,
        plan_hash=plan_hash,
        mode=MODES[mode],
        verdict=proof.verdict,
        rows=total.count,
        documents=proof.target.total.count + proof.target.outside,
        held_back=proof.source.held_back,
        pending=proof.source.pending,
        rejected=proof.tally.of(FindingKind.REJECTED),
        waived=proof.tally.of(FindingKind.WAIVED),
        high=total.high,
        low=total.low,
        upper=upper.isoformat(),
        as_of=look.as_of.isoformat(),
        max_event_time=youngest.isoformat() if youngest else None,
        sampled=proof.sampled,
        seed=seed,
        tally=proof.tally,
        by_hand=by_hand(bench, plan, mode=mode, upper=upper, sample=sample, seed=seed, gone=gone),
    )
    ledger.certificates.save(bench.migration.name, certificate, arrived=arrived)
    return certificate


def _arrived(bench: Workbench, plan: UnitPlan, unnamed: Collection[str]) -> Collection[str]:
    """Of dead letters, the keys whose documents are there by now: they have got through.

    One whose row is gone or isn't settled any more is no finding either, yet has no document: it
    stays as it is.

    :param unnamed: keys that no finding names.
    """
    return bench.target.present(plan, sorted(unnamed)) if unnamed else ()


def by_hand(
    bench: Workbench,
    plan: UnitPlan,
    *,
    mode: ProofMode,
    upper: datetime,
    sample: int,
    seed: int,
    gone: Mapping[datetime, Bucket],
) -> dict[str, Any]:
    """What anybody needs to get a certificate's sums: nothing of it needs this package."""
    prints = mode is not ProofMode.COUNT
    found: dict[str, Any] = {
        "source": bench.source.by_hand(plan, upper=upper, prints=prints),
        "target": bench.target.by_hand(plan, prints=prints),
    }
    if sample and mode is ProofMode.SAMPLE:
        found["sample"] = bench.target.sample_by_hand(plan, size=sample, seed=seed)
    if gone:
        purged = sum(gone.values(), EMPTY)
        found["purged"] = {"rows": purged.count, "high": purged.high, "low": purged.low}
    return found


def proven_source(bench: Workbench, ledger: Ledger, plan: UnitPlan) -> Source:
    """The source as a proof has to see it: what was purged of the unit still counts."""
    gone = ledger.deletions.gone(bench.migration.name, plan.key)
    return PurgedSource(bench.source, bench.target, gone) if gone else bench.source
