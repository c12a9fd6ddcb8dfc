"""Runs: what each DAG run of a tenant set out to do and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import storable, storable_json


class RunOutcome(str, Enum):
    """How a run stands or ended; task state, exit code and report say the same."""

    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_FINDINGS = "completed_with_findings"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as stored.

    :param id: Airflow's DAG id and run id.
    :param report: what the report task found, ``None`` before.
    """

    id: str
    migration: str
    tenant: str
    plan_hash: str | None
    outcome: RunOutcome
    report: Mapping[str, Any] | None
    started_at: datetime
    ended_at: datetime | None
    who: str


class Runs:
    """Keeps runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(
        self, *, run_id: str, migration: str, tenant: str, plan_hash: str | None = None
    ) -> Run:
        """The run has begun, or goes on after it was cleared. Idempotent.

        :param plan_hash: ``None`` leaves a stored one as it is.
        """
        table = tables.run

        def work(connection: Connection) -> Run:
            statement = insert(table).values(
                id=storable(run_id),
                migration=migration,
                tenant=storable(tenant),
                plan_hash=plan_hash,
                outcome=RunOutcome.RUNNING.value,
                who=storable(self._database.who),
            )
            statement = statement.on_conflict_do_update(
                index_elements=["id"],
                set_={
                    "outcome": RunOutcome.RUNNING.value,
                    "ended_at": None,
                    "plan_hash": func.coalesce(statement.excluded.plan_hash, table.c.plan_hash),
                },
            )
            connection.execute(statement)
            self._note(connection, "run.started", run_id, plan=plan_hash)
            return _get(connection, run_id)

        return self._database.transact(work)

    def end(self, run_id: str, outcome: RunOutcome, *, report: Mapping[str, Any]) -> Run:
        """The run ended. A run that ends again, after it was cleared, has the later outcome.

        :raises PlanUnusable: no such run was started.
        """
        statement = (
            update(tables.run)
            .where(tables.run.c.id == storable(run_id))
            .values(outcome=outcome.value, report=storable_json(report), ended_at=func.now())
        )

        def work(connection: Connection) -> Run:
            connection.execute(statement)
            run = _get(connection, run_id)
            self._note(connection, "run.ended", run_id, outcome=outcome.value)
            return run

        return self._database.transact(work)

    def get(self, run_id: str) -> Run:
        """The run. :raises PlanUnusable: no such run was started."""
        return self._database.transact(lambda connection: _get(connection, run_id))

    def list(self, migration: str, *, tenant: str | None = None, limit: int = 20) -> list[Run]:
        """The newest first."""
        table = tables.run
        query = select(table).where(table.c.migration == migration)
        if tenant is not None:
            query = query.where(table.c.tenant == storable(tenant))
        query = query.order_by(table.c.started_at.desc(), table.c.id).limit(limit)
        rows = self._database.transact(
            lambda connection: connection.execute(query).mappings().all()
        )
        return [_run(row) for row in rows]

    def _note(self, connection: Connection, action: str, run_id: str, **detail: Any) -> None:
        history.append(connection, who=self._database.who, action=action, subject=run_id, **detail)


def _get(connection: Connection, run_id: str) -> Run:
    query = select(tables.run).where(tables.run.c.id == storable(run_id))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise PlanUnusable("the ledger has no such run", where=f"run {run_id}")
    return _run(row)


def _run(row: Any) -> Run:
    return Run(
        id=row["id"],
        migration=row["migration"],
        tenant=row["tenant"],
        plan_hash=row["plan_hash"],
        outcome=RunOutcome(row["outcome"]),
        report=row["report"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        who=row["who"],
    )
