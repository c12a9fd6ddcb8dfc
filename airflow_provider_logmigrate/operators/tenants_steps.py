"""Steps of a DAG for many tenants: each mapped task works through a batch of them.

A tenant that fails is left behind: the task goes on with its other tenants and fails at its end,
the steps after it take the tenants that got through, and the report fails for the rest.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.certificate import ProofMode
from airflow_provider_logmigrate.core.errors import (
    Fenced,
    Halt,
    Interrupted,
    LogMigrateError,
    NeedsAction,
    TargetBlocked,
)
from airflow_provider_logmigrate.operators.backfill import copied_units, copy_units
from airflow_provider_logmigrate.operators.base import StoppableOperator, run_key
from airflow_provider_logmigrate.operators.batches import Planned, TenantWork
from airflow_provider_logmigrate.operators.options import RunOptions
from airflow_provider_logmigrate.operators.validate import prove_units, told_to

if TYPE_CHECKING:
    from airflow.sdk import Context

GROUP = "tenants"
"""The task group of the steps."""
REPORT = f"{GROUP}.report"

DONE, FAILED = "done", "failed"
"""XComs of a step: result or reason by tenant."""

PUSH_SECONDS = 5.0
"""A task that is killed takes only the results of its last seconds with it."""

_ENDS_THE_BATCH = (Interrupted, Fenced, TargetBlocked)


class TenantsStep(StoppableOperator):
    """Base of the steps.

    :param batch: ``{"batch": number, "tenants": [{"tenant": …, "plan": hash, "error": ""}]}``.
    :param after: the step before this one: whom it got through, this one takes on; ``None``: all
        that have a plan.
    :returns: how many tenants it got through; their results are the XCom ``done``.
    :raises LogMigrateError: the first error, after the batch's other tenants.
    """

    template_fields = ("batch",)
    report_task = REPORT

    def __init__(self, *, batch: Any, after: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch
        self.after = after

    @abstractmethod
    def work(self, context: Context, one: TenantWork) -> dict[str, Any]:
        """Do the step for one tenant; what it came to, as plain JSON values."""

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow.sdk.exceptions import AirflowSkipException

        self.push_link(context)
        tenants = self._tenants(context)
        if not tenants:
            raise AirflowSkipException("no tenant of this batch got here")
        told = _Told(context["ti"])
        errors: list[LogMigrateError] = []
        try:
            with self._opened(context) as begin:
                for tenant, plan_hash in tenants.items():
                    try:
                        told.done(tenant, self.work(context, begin(tenant, plan_hash)))
                    except (NeedsAction, Halt) as error:
                        if isinstance(error, _ENDS_THE_BATCH):
                            raise
                        self.log.error("%s failed: %s", tenant, error)
                        told.failed(tenant, str(error))
                        errors.append(error)
        finally:
            told.push()
        if errors:
            self.log.error("%s of %s tenants failed", len(errors), len(tenants))
            raise errors[0]
        return {"tenants": len(tenants)}

    def _tenants(self, context: Context) -> dict[str, str]:
        """Tenants to work for, with their plans' hashes."""
        planned = [Planned.from_json(record) for record in self.batch["tenants"]]
        through = None if self.after is None else pull(context, self.after, DONE)
        return {
            one.tenant: one.plan
            for one in planned
            if one.plan is not None and one.units and (through is None or one.tenant in through)
        }

    @contextmanager
    def _opened(self, context: Context) -> Iterator[Callable[[str, str], TenantWork]]:
        """One workbench, ledger and attempt for the whole batch."""
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.unit_copy import UnitCopier

        migration = self.load_migration()
        now = datetime.now(timezone.utc)
        streams = RunOptions.of(migration, context["params"], now=now).streams
        with (
            self.open_ledger(context) as ledger,
            workbench(migration, streams) as bench,
            UnitCopier(
                context, bench, ledger, lane=self.batch["batch"], stop=self._stop, log=self.log
            ) as copier,
        ):

            def begin(tenant: str, plan_hash: str) -> TenantWork:
                plan = ledger.plans.load(plan_hash)
                bench.still_valid(plan)
                run = run_key(context, tenant)
                return TenantWork(plan, plan_hash, run, bench, ledger, copier)

            yield begin


class _Told:
    """Results and reasons by tenant, pushed every few seconds while more of them come."""

    def __init__(self, ti: Any) -> None:
        self._ti = ti
        self._found: dict[str, dict[str, Any]] = {DONE: {}, FAILED: {}}
        self._pushed_at = time.monotonic()

    def done(self, tenant: str, result: dict[str, Any]) -> None:
        self._add(DONE, tenant, result)

    def failed(self, tenant: str, reason: str) -> None:
        self._add(FAILED, tenant, reason)

    def push(self) -> None:
        self._pushed_at = time.monotonic()
        for key, found in self._found.items():
            if found:
                self._ti.xcom_push(key=key, value=found)

    def _add(self, key: str, tenant: str, value: Any) -> None:
        self._found[key][tenant] = value
        if time.monotonic() - self._pushed_at >= PUSH_SECONDS:
            self.push()


class TenantsBackfillOperator(TenantsStep):
    """Copy all units of a batch's tenants, one after another.

    Resumable and idempotent, see :class:`BackfillOperator`.
    """

    def work(self, context: Context, one: TenantWork) -> dict[str, Any]:  # noqa: ARG002
        """Counts and what each unit needed."""
        one.bench.put_templates()
        return copied_units(copy_units(one.copier, one.plan, log=self.log))


class TenantsValidateOperator(TenantsStep):
    """Prove all units of a batch's tenants, see :class:`ValidateSampleOperator`."""

    def work(self, context: Context, one: TenantWork) -> dict[str, Any]:
        """Verdict and counts by unit."""
        sample, mode = (context["params"].get(name) for name in ("sample", "mode"))
        return prove_units(
            one.copier,
            one.plan.units,
            plan_hash=one.plan_hash,
            sample=one.bench.migration.sample if sample is None else int(sample),
            mode=ProofMode(mode) if mode else None,
            bounds=told_to(one.bench.migration.reconcile, context["params"]),
            log=self.log,
        )


class TenantsSwapOperator(TenantsStep):
    """Cut a batch's tenants over, each in one atomic call, see :class:`AliasSwapOperator`."""

    def work(self, context: Context, one: TenantWork) -> dict[str, Any]:  # noqa: ARG002
        """Id of the cut-over, number of units swapped, units withheld."""
        from airflow_provider_logmigrate.operators.swap import cut_over

        result = cut_over(one.bench, one.ledger, one.plan, copier=one.copier, run=one.run)
        self.log.info(
            "%s: cut-over %s, %s alias actions", one.plan.tenant, result.cutover, result.actions
        )
        for unit, reason in result.withheld.items():
            self.log.warning("%s is withheld from the cut-over: %s", unit, reason)
        return {
            "cutover": result.cutover,
            "swapped": len(result.swapped),
            "withheld": dict(result.withheld),
        }


def pull(context: Context, task: str, key: str) -> dict[str, Any]:
    """What a step of the same batch pushed by tenant; empty if nothing."""
    ti = context["ti"]
    found = ti.xcom_pull(task_ids=task, key=key, map_indexes=ti.map_index)
    return found if isinstance(found, dict) else {}
