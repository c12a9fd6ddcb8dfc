"""The tasks of a sweep: plan it, read a lane of its parts, settle it."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import Halt
from airflow_provider_logmigrate.core.naming import dag_id
from airflow_provider_logmigrate.operators.base import (
    LogMigrateOperator,
    StoppableOperator,
    run_key,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.core.stream import Stream
    from airflow_provider_logmigrate.ledger.ledger import Ledger

PLAN_TASK, SETTLE_TASK = "plan_sweep", "settle"


NOTHING = 0
"""In the place of a sweep's number: nothing is to be swept."""


class SweepUnfinished(Halt):
    """A sweep's last task found parts that weren't read to their end."""

    advice = "read the failed sweep tasks' logs, then clear them; they go on where they broke off"


class SweepPlanOperator(LogMigrateOperator):
    """Plan a sweep: which streams are read in one pass for all tenants, and by which lanes.

    Swept are streams that the configuration forces (``strategy: sweep``), and those that no index
    serves if the migration has several tenants. An unfinished sweep of the migration goes on.
    Counts the tables once and writes the plan into the ledger; the target stays as it is.

    :returns: lanes for mapping: ``[{"lane": 0, "sweep": number, "parts": [numbers]}, …]``; empty if
        nothing is to be swept.
    """

    report_task = SETTLE_TASK

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """See the class."""
        from datetime import datetime, timezone

        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.options import RunOptions
        from airflow_provider_logmigrate.operators.sweep_planning import plan_sweep
        from airflow_provider_logmigrate.operators.sweep_text import sweep_plan_text

        self.push_link(context)
        migration = self.load_migration()
        options = RunOptions.of(migration, dict(context["params"]), now=datetime.now(timezone.utc))
        with self.open_ledger(context) as ledger, workbench(migration, options.streams) as bench:
            ledger.check()  # an outage shows here, before the source is counted
            planned = plan_sweep(bench, ledger, options)
            strategies = {
                setup.shape.stream.name: f"{setup.strategy.value}: {setup.strategy_reason}"
                for setup in bench.setups
            }
        if planned is None:
            self.log.info("Nothing is to be swept. Streams are read by: %s", strategies)
            context["ti"].xcom_push(key="sweep", value=NOTHING)
            return []
        if planned.resumed:
            self.log.info("Sweep %s goes on where it broke off", planned.number)
        self.log.info("%s", sweep_plan_text(planned.number, planned.plan))
        context["ti"].xcom_push(key="sweep", value=planned.number)
        if options.dry_run:
            self.log.info("Nothing further to do: dry run")
            return []
        return [
            {"lane": lane, "sweep": planned.number, "parts": parts}
            for lane, parts in enumerate(planned.plan.lanes())
        ]


class SweepOperator(StoppableOperator):
    """Read a lane's parts of a sweep, one after another; mapped over the lanes.

    Resumable at any row and idempotent: after any kill the next attempt goes on behind the last
    row that is safe, by the ledger. SIGTERM stops it within a second at a durable position.

    :param lane: ``{"lane": number, "sweep": number, "parts": [numbers]}``.
    :returns: documents written by this attempt, and rows passed over by reason, for each part.
    """

    report_task = SETTLE_TASK

    def __init__(self, *, lane: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lane = lane

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.core.clock import SystemClock
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.sweeping import Sweeper
        from airflow_provider_logmigrate.operators.task_state import TaskState

        self.push_link(context)
        migration, lane = self.load_migration(), self.lane["lane"]
        state = TaskState(
            context["task_state_store"],
            lane=lane,
            stop=self._stop,
            log=self.log,
            clock=SystemClock(),
        )
        outcomes = []
        with (
            self.open_ledger(context) as ledger,
            workbench(
                migration, _streams(migration, ledger, self.lane["sweep"]), stop=self._stop
            ) as bench,
        ):
            bench.put_templates()
            sweeper = Sweeper(
                bench,
                ledger,
                number=self.lane["sweep"],
                holder=f"{run_key(context)} lane {lane} on {socket.gethostname()}"
                f" process {os.getpid()}",
                stop=self._stop,
                on_progress=state.show,
                on_checkpoint=state.keep,
            )
            for part in sweeper.plan.parts:
                if part.number in self.lane["parts"]:
                    outcome = sweeper.sweep(part)
                    self.log.info(
                        "%s: %s documents, %s rejected, %s passed over, %.1f s",
                        part.key,
                        f"{outcome.counters.documents:,}",
                        outcome.counters.rejected,
                        dict(outcome.skipped),
                        outcome.seconds,
                    )
                    outcomes.append(outcome)
            state.flush()
        return {
            outcome.part.key: {"written": outcome.written, "skipped": dict(outcome.skipped)}
            for outcome in outcomes
        }


class SweepSettleOperator(StoppableOperator):
    """End a sweep, whatever became of its lanes (trigger rule ``all_done``).

    Every index that was written to gets its serving settings. Where all parts of a stream were
    read, its units count as copied, and the tenants' own DAGs go on from there: they compare, copy
    what differs, prove and swap.

    :param group_dag: id of the DAG of all tenants, where they have none of their own.
    :returns: ids of the DAGs to trigger, unless run parameter ``then_trigger`` is false. What to
        trigger is printed all the same.
    :raises SweepUnfinished: a part wasn't read to its end, or there is no plan.
    """

    report_task = SETTLE_TASK

    def __init__(self, *, group_dag: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_dag = group_dag

    def execute(self, context: Context) -> list[str]:
        """See the class."""
        from airflow.sdk.exceptions import AirflowSkipException

        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.sweep_settling import settle
        from airflow_provider_logmigrate.operators.sweep_text import sweep_table

        number = context["ti"].xcom_pull(task_ids=PLAN_TASK, key="sweep")
        params = context["params"]
        if number is None:  # skipped, the run would count as a success
            raise SweepUnfinished("the sweep has no plan", where=run_key(context))
        if number == NOTHING or params.get("dry_run"):
            raise AirflowSkipException("there is nothing to settle")
        migration = self.load_migration()
        with (
            self.open_ledger(context) as ledger,
            workbench(migration, _streams(migration, ledger, number), stop=self._stop) as bench,
        ):
            reports = settle(bench, ledger, number=number, holder=run_key(context), stop=self._stop)
            tenants = {unit.unit.tenant for unit in ledger.sweeps.load(number).units}
        self.log.info("\n%s", sweep_table(number, reports))
        for report in reports:
            for unit, why in report.left.items():
                self.log.warning("%s is left to its tenant's own DAG: %s", unit, why)
        unswept = sum(report.unswept for report in reports)
        if unswept:
            raise SweepUnfinished(
                f"{unswept} parts of the sweep weren't read to their end", where=f"sweep {number}"
            )
        dags = [self.group_dag] if self.group_dag else _tenant_dags(migration, tenants)
        for dag in dags:
            self.log.info("Next: airflow dags trigger %s", dag)
        return dags if params.get("then_trigger", True) else []


def _streams(migration: Migration, ledger: Ledger, number: int) -> list[Stream]:
    """The streams that a sweep reads."""
    return [migration.stream(stream.name) for stream in ledger.sweeps.load(number).streams]


def _tenant_dags(migration: Migration, tenants: Collection[str]) -> list[str]:
    """DAGs of the tenants that have units in a sweep, in the configuration's order."""
    return [dag_id(migration.name, tenant) for tenant in migration.tenants if tenant in tenants]
