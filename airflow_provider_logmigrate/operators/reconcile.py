"""ReconcileOperator: repairs units that differ from their source, and proves them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.operators.base import StoppableOperator, TenantOperator, run_key
from airflow_provider_logmigrate.operators.validate import prove_units, told_to

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.core.certificate import Certificate
    from airflow_provider_logmigrate.core.plan import Plan, UnitPlan
    from airflow_provider_logmigrate.core.reconcile import Bounds


class ReconcileOperator(StoppableOperator, TenantOperator):
    """Copy what is missing, stale or altered, remove extras if told to, prove again.

    Works on the units whose newest certificate says that they differ, and has nothing to do if
    there are none. Each is proven, its differing documents are copied anew by their keys, and so on
    until it is equal or a bound is reached. Idempotent: killed in the middle, the next attempt
    finds out by a proof what is left. An index that serves goes on serving meanwhile.

    :param plan_hash: the plan of the units; default: the run's plan.
    :param units: keys of units of that plan to prove and repair whatever their certificates say.
    :param passes, max_documents: bounds of one unit; default: the migration's.
    :param remove_extras: remove documents without a row; default: run parameter
        ``remove_extras``, else the migration's.
    :param sample, mode: of the proofs; default: run parameters, else the migration's.
    :returns: verdict and counts of each unit that was looked at.
    :raises ProofFailed: a unit still differs; the message names units, ids and what stopped it.
    """

    template_fields = ("plan_hash", "units")

    def __init__(
        self,
        *,
        plan_hash: str | None = None,
        units: Sequence[str] | None = None,
        passes: int | None = None,
        max_documents: int | None = None,
        remove_extras: bool | None = None,
        sample: int | None = None,
        mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan_hash = plan_hash
        self.units = units
        self.passes = passes
        self.max_documents = max_documents
        self.remove_extras = remove_extras
        self.sample = sample
        self.mode = mode

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.core.certificate import ProofMode
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.unit_copy import UnitCopier

        self.push_link(context)
        migration, params = self.load_migration(), context["params"]
        mode = self.mode or params.get("mode")
        sample = self.sample if self.sample is not None else params.get("sample")
        with self.open_ledger(context) as ledger:
            plan_hash = self.plan_hash or ledger.runs.get(run_key(context)).plan_hash or ""
            plan = ledger.plans.load(plan_hash)
            keys = [unit.key for unit in plan.units]
            certificates = ledger.certificates.latest_by_unit(migration.name, units=keys)
            units = _chosen(plan, certificates, self.units)
            if not units:
                self.log.info("No unit differs: there is nothing to repair")
                return {}
            names = dict.fromkeys(unit.unit.stream for unit in units)
            streams = [migration.stream(name) for name in names]
            with workbench(migration, streams, stop=self._stop) as bench:
                bench.still_valid(replace(plan, units=tuple(units)))
                with UnitCopier(
                    context, bench, ledger, lane=0, stop=self._stop, log=self.log
                ) as copier:
                    return prove_units(
                        copier,
                        units,
                        plan_hash=plan_hash,
                        sample=migration.sample if sample is None else int(sample),
                        mode=ProofMode(mode) if mode else None,
                        bounds=self._bounds(migration.reconcile, params),
                        log=self.log,
                    )

    def _bounds(self, bounds: Bounds, params: Mapping[str, Any]) -> Bounds:
        told, given = told_to(bounds, params), self.remove_extras
        return replace(
            told,
            passes=told.passes if self.passes is None else self.passes,
            max_documents=told.max_documents if self.max_documents is None else self.max_documents,
            remove_extras=told.remove_extras if given is None else given,
        )


def _chosen(
    plan: Plan, certificates: Mapping[str, Certificate], wanted: Sequence[str] | None
) -> list[UnitPlan]:
    """Units to work on. :raises PlanUnusable: one that is wanted isn't in the plan."""
    if wanted:
        by_key = {unit.key: unit for unit in plan.units}
        if unknown := [key for key in wanted if key not in by_key]:
            raise PlanUnusable(
                "the plan doesn't have the unit",
                where=", ".join(unknown[:5]),
                next_step="name units of the plan, as `airflow logmigrate status` shows them",
            )
        return [by_key[key] for key in wanted]
    return [unit for unit in plan.units if _differs(unit, certificates.get(unit.key))]


def _differs(unit: UnitPlan, certificate: Certificate | None) -> bool:
    """True if a certificate of exactly this index says so."""
    from airflow_provider_logmigrate.core.certificate import Verdict

    return (
        certificate is not None
        and certificate.verdict is Verdict.DIFFERENT
        and (certificate.index, certificate.definition) == (unit.index, unit.definition)
    )
