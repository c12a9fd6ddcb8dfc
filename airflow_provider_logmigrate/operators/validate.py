"""ValidateSampleOperator: proves a lane's units and stores their certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    from airflow_provider_logmigrate.operators.unit_copy import UnitCopier


class ValidateSampleOperator(StoppableOperator, TenantOperator):
    """Prove units: counts and fingerprints of every row by hour, then a random deep sample, or all.

    Every unit gets a certificate, a false one too: it says what differs, by id. A period that is
    still open moves between copy and proof: what is merely missing or stale there is copied and
    proven again, three times at most.

    :param lane: ``{"lane": number, "plan": hash, "units": [keys]}``.
    :param sample: documents per unit compared field by field; default: run parameter ``sample``,
        else the migration's.
    :param mode: how closely to compare (``fingerprint``, ``sample``, ``full``); default: run
        parameter ``mode``, else the migration's.
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
                        log=self.log,
                    )


def prove_units(
    copier: UnitCopier,
    units: Sequence[UnitPlan],
    *,
    plan_hash: str,
    sample: int,
    log: Any,
    mode: ProofMode | None = None,
) -> dict[str, Any]:
    """Make the certificates of units; verdict and counts by unit.

    :raises ProofFailed: units differ; every certificate is stored.
    """
    from airflow_provider_logmigrate.reports import certificate_text

    certificates = []
    for unit in units:
        certificate = copier.certify(unit, plan_hash=plan_hash, sample=sample, mode=mode)
        log.info("%s", certificate_text(certificate))
        certificates.append(certificate)
    differing = [c for c in certificates if c.verdict.value == "different"]
    if differing:
        raise ProofFailed(
            f"{len(differing)} of {len(certificates)} units differ: "
            + "; ".join(certificate_text(c, ids=5) for c in differing[:3]),
            where=", ".join(c.unit for c in differing[:10]),
            units=[c.unit for c in differing],
        )
    return {
        c.unit: {
            "verdict": c.verdict.value,
            "rows": c.rows,
            "documents": c.documents,
            "held_back": c.held_back,
            "rejected": c.rejected,
            "certificate": c.id,
        }
        for c in certificates
    }
