"""ValidateSampleOperator: proves a lane's units and stores their certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import ProofFailed
from airflow_provider_logmigrate.operators.base import (
    StoppableOperator,
    TenantOperator,
    lane_plan,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.core.certificate import ProofMode
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.core.reconcile import Bounds, Reconciled
    from airflow_provider_logmigrate.operators.unit_copy import UnitCopier


class ValidateSampleOperator(StoppableOperator, TenantOperator):
    """Prove units: counts and fingerprints of every row by hour, then a random deep sample, or all.

    Every unit gets a certificate, a false one too: it says what differs, by id. What is missing,
    stale or altered is then copied anew and the unit proven again, as far as the migration's
    ``reconcile`` allows, see :class:`ReconcileOperator`; in a period that is still open, which
    moves between copy and proof, in any case.

    :param lane: ``{"lane": number, "plan": hash, "units": [keys]}``.
    :param sample: documents per unit compared field by field; default: run parameter ``sample``,
        else the migration's.
    :param mode: how closely to compare (``count``, ``fingerprint``, ``sample``, ``full``); default:
        run parameter ``mode``, else the migration's.
    :returns: verdict and counts per unit.
    :raises ProofFailed: at least one unit differs; the message names units and ids.
    """

    def __init__(
        self,
        *,
        lane: Mapping[str, Any],
        sample: int | None = None,
        mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.lane = lane
        self.sample = sample
        self.mode = mode

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.core.certificate import ProofMode
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.unit_copy import UnitCopier

        self.push_link(context)
        migration = self.load_migration()
        sample = self.sample if self.sample is not None else context["params"].get("sample")
        mode = self.mode or context["params"].get("mode")
        with self.open_ledger(context) as ledger:
            plan = lane_plan(ledger, self.lane)
            names = dict.fromkeys(unit.unit.stream for unit in plan.units)
            streams = [migration.stream(name) for name in names]
            with workbench(migration, streams, stop=self._stop) as bench:
                bench.still_valid(plan)
                with UnitCopier(
                    context, bench, ledger, lane=self.lane["lane"], stop=self._stop, log=self.log
                ) as copier:
                    return prove_units(
                        copier,
                        plan.units,
                        plan_hash=self.lane["plan"],
                        sample=migration.sample if sample is None else int(sample),
                        mode=ProofMode(mode) if mode else None,
                        bounds=told_to(migration.reconcile, context["params"]),
                        log=self.log,
                    )


def prove_units(
    copier: UnitCopier,
    units: Sequence[UnitPlan],
    *,
    plan_hash: str,
    sample: int,
    bounds: Bounds,
    log: Any,
    mode: ProofMode | None = None,
) -> dict[str, Any]:
    """Make the certificates of units, repairing them if they may be; verdict and counts by unit.

    A unit whose newest certificate names an altered document is compared whole, until it is equal:
    another sample might miss this one, and others.

    :param bounds: of the repair of each.
    :raises ProofFailed: units still differ; every certificate is stored.
    """
    from airflow_provider_logmigrate.core.certificate import FindingKind
    from airflow_provider_logmigrate.operators.unit_repair import LIVE, UnitRepairer
    from airflow_provider_logmigrate.reports import certificate_text

    newest = copier.ledger.certificates.latest_by_unit(
        copier.bench.migration.name, units=[unit.key for unit in units]
    )
    done: list[Reconciled] = []
    for unit in units:
        before = newest.get(unit.key)
        altered = before is not None and before.tally.of(FindingKind.ALTERED) > 0
        work = UnitRepairer(copier, unit, plan_hash=plan_hash, sample=sample, mode=mode)
        allowed = LIVE if copier.is_live(unit) and not bounds.passes else bounds
        one = work.reconcile(allowed, full=altered)
        if one.equal:  # otherwise it is told already
            log.info("%s", certificate_text(one.certificate))
        done.append(one)
    if differing := [one for one in done if not one.equal]:
        shown = ["; ".join((certificate_text(d.certificate, ids=5), *d.notes)) for d in differing]
        raise ProofFailed(
            f"{len(differing)} of {len(done)} units differ: " + "; ".join(shown[:3]),
            where=", ".join(one.certificate.unit for one in differing[:10]),
            units=[one.certificate.unit for one in differing],
        )
    return {one.certificate.unit: _facts(one) for one in done}


def _facts(one: Reconciled) -> dict[str, Any]:
    certificate = one.certificate
    facts = {
        "verdict": certificate.verdict.value,
        "rows": certificate.rows,
        "documents": certificate.documents,
        "held_back": certificate.held_back,
        "rejected": certificate.rejected,
        "certificate": certificate.id,
    }
    repairs = {"passes": one.passes, "copied_again": one.copied, "removed": one.removed}
    return facts | repairs if one.passes else facts


def told_to(bounds: Bounds, params: Mapping[str, Any]) -> Bounds:
    """A migration's bounds of repairs, with what a person has told a run."""
    return replace(bounds, remove_extras=bounds.remove_extras or bool(params.get("remove_extras")))
