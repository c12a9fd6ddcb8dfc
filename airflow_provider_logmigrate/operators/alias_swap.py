"""AliasSwapOperator: makes readers see the proven indices, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.operators.base import (
    StoppableOperator,
    TenantOperator,
    run_key,
)

if TYPE_CHECKING:
    from airflow.sdk import Context


class AliasSwapOperator(StoppableOperator, TenantOperator):
    """Point the aliases of a plan's units to their indices in one atomic call.

    Refuses without a certificate of every unit that is still true at this moment: both sides are
    summed up again and compared with it. Units with dead letters that nobody accepted are
    withheld and named. The inverse is stored before the call; ``airflow logmigrate rollback``
    runs it. Repeating a swap changes nothing.

    :param plan_hash: the plan to cut over; default: the run's plan.
    :returns: id of the cut-over, units swapped and withheld.
    :raises CertificateMissing: a unit has none, a false one, or one that isn't true any more.
    """

    template_fields = ("plan_hash",)

    def __init__(self, *, plan_hash: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_hash = plan_hash

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.swap import cut_over
        from airflow_provider_logmigrate.operators.unit_copy import UnitCopier

        self.push_link(context)
        migration = self.load_migration()
        with self.open_ledger(context) as ledger:
            plan_hash = self.plan_hash or ledger.runs.get(run_key(context)).plan_hash or ""
            plan = ledger.plans.load(plan_hash)
            names = dict.fromkeys(unit.unit.stream for unit in plan.units)
            streams = [migration.stream(name) for name in names]
            with workbench(migration, streams, stop=self._stop) as bench:
                bench.still_valid(plan)
                with UnitCopier(
                    context, bench, ledger, lane=0, stop=self._stop, log=self.log
                ) as copier:
                    result = cut_over(bench, ledger, plan, copier=copier, run=run_key(context))
        units = len(result.swapped)
        if result.cutover is None:
            self.log.info("The aliases of %s units are right already", units)
        else:
            self.log.info(
                "Cut-over %s: %s units, %s alias actions; undo: `airflow logmigrate rollback %s`",
                result.cutover,
                units,
                result.actions,
                result.cutover,
            )
        for unit, reason in result.withheld.items():
            self.log.warning("%s is withheld from the cut-over: %s", unit, reason)
        return {
            "cutover": result.cutover,
            "swapped": list(result.swapped),
            "withheld": dict(result.withheld),
            "actions": result.actions,
        }
