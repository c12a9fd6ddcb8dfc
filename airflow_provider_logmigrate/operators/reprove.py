"""Is a certificate still true? Its unit is proven again as it was, up to the same event time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.certificate import ProofMode, Verdict
from airflow_provider_logmigrate.core.clock import SystemClock
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.verify import prove
from airflow_provider_logmigrate.operators.certify import MODES, proven_source

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.certificate import Certificate
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.core.verify import Proof
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Reproof:
    """A certificate beside what holds now.

    :param differences: one sentence each; empty if everything is as the certificate says.
    """

    proof: Proof
    differences: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """True if the certificate says that the unit is equal, and that is still so."""
        return not self.differences and self.proof.verdict is not Verdict.DIFFERENT


def prove_again(
    bench: Workbench,
    ledger: Ledger,
    plan: UnitPlan,
    certificate: Certificate,
    *,
    mode: ProofMode | None = None,
    stop: Stop | None = None,
) -> Reproof:
    """Prove a certificate's unit now; nothing is stored.

    :param mode: how closely; the certificate's by default.
    """
    modes = {shown: mode for mode, shown in MODES.items()}
    mode = mode or modes[certificate.mode]
    letters = ledger.dead_letters.unresolved(bench.migration.name, plan.key)
    proof = prove(
        source=proven_source(bench, ledger, plan),
        target=bench.target,
        plan=plan,
        upper=datetime.fromisoformat(certificate.upper),
        rejected=letters.rejected,
        waived=letters.waived,
        comparer=RowComparer(bench.setup(plan.unit.stream).shape),
        sample=certificate.sampled if mode is ProofMode.SAMPLE else 0,
        seed=certificate.seed,
        full=mode is ProofMode.FULL,
        prints=mode is not ProofMode.COUNT,
        stop=stop,
        guard=bench.source_guard(clock=SystemClock()),
    )
    return Reproof(proof, tuple(_differences(certificate, proof)))


def certified_plan(bench: Workbench, ledger: Ledger, certificate: Certificate) -> UnitPlan:
    """The unit as the certificate's plan has it.

    :raises PlanUnusable: the stream isn't read any more as it was then, or the index is gone.
    """
    stored = ledger.plans.load(certificate.plan_hash)
    plan = next((unit for unit in stored.units if unit.key == certificate.unit), None)
    if plan is None:
        raise PlanUnusable("the certificate's plan doesn't have its unit", where=certificate.unit)
    if bench.setup(plan.unit.stream).definition != certificate.definition:
        raise PlanUnusable(
            "columns, mapping or configuration changed since the certificate was made",
            where=certificate.unit,
            next_step="run the tenant's DAG: it proves the unit as it is read now",
        )
    if not bench.index_exists(plan):
        raise PlanUnusable(
            "the index of the certificate isn't there any more",
            where=plan.index,
            next_step=(
                "look with `airflow logmigrate status` if a retention deleted it, or if another"
                " certificate is the unit's newest; else run the tenant's DAG"
            ),
        )
    return plan


def _differences(certificate: Certificate, proof: Proof) -> Iterator[str]:
    total = proof.source.total
    now = {
        "verdict": proof.verdict.value,
        "rows": total.count,
        "documents": proof.target.total.count + proof.target.outside,
        "high": total.high,
        "low": total.low,
    }
    then = {
        "verdict": certificate.verdict.value,
        "rows": certificate.rows,
        "documents": certificate.documents,
        "high": certificate.high,
        "low": certificate.low,
    }
    for name, value in now.items():
        if then[name] != value:
            yield f"{name}: {then[name]} then, {value} now"
