"""Units: which attempt holds each, and the checkpoint it has reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Phase
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.fence import fenced, hold
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import storable


@dataclass(frozen=True, slots=True)
class UnitState:
    """How a unit stands.

    :param unit: its key.
    :param phase: of the newest attempt's definition.
    :param attempt: the attempt that holds it; ``holder`` is who that is.
    """

    unit: str
    stream: str
    tenant: str
    period: str
    definition: str
    index: str
    phase: Phase
    attempt: int
    holder: str
    counters: Counters
    checkpoint: Checkpoint | None
    updated_at: datetime


class Units:
    """Attempts, claims and checkpoints."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_attempt(self) -> int:
        """A new fencing token, higher than every one before. Gaps mean nothing."""
        query = select(tables.attempt_seq.next_value())
        return self._database.transact(lambda connection: connection.execute(query).scalar_one())

    def claim(
        self, migration: str, plan: UnitPlan, *, attempt: int, holder: str
    ) -> Checkpoint | None:
        """Take the unit over for ``attempt`` and return the checkpoint to go on from, if any.

        Compare-and-set: the highest attempt wins whatever the order of the calls. Claiming again
        with the same attempt is harmless. A unit whose definition changed starts anew.

        :param holder: who that is, for the people who look: a DAG run, task and host.
        :raises Fenced: a newer attempt has the unit.
        """
        return self._database.transact(
            lambda connection: self._claim(connection, migration, plan, attempt, holder)
        )

    def _claim(
        self, connection: Connection, migration: str, plan: UnitPlan, attempt: int, holder: str
    ) -> Checkpoint | None:
        table = tables.unit
        this = (table.c.migration == migration) & (table.c.unit == plan.key)
        held: dict[str, Any] = {
            "definition": plan.definition,
            "index_name": plan.index,
            "attempt": attempt,
            "holder": storable(holder),
            "who": storable(self._database.who),
        }
        connection.execute(
            insert(table)
            .values(
                **held,
                migration=migration,
                unit=plan.key,
                stream=plan.unit.stream,
                tenant=storable(plan.unit.tenant),
                period=plan.unit.period.label,
                phase=Phase.COPYING.value,
            )
            .on_conflict_do_nothing()
        )
        columns = (table.c.attempt, table.c.holder, table.c.definition, table.c.checkpoint)
        before = connection.execute(select(*columns).where(this).with_for_update()).one()
        if before.attempt > attempt:
            raise fenced(
                migration=migration,
                unit=plan.key,
                attempt=attempt,
                stored=before.attempt,
                holder=before.holder,
            )
        anew = before.definition != plan.definition
        reset = _columns_of(None) if anew else {}
        connection.execute(update(table).where(this).values(**held, **reset, updated_at=func.now()))
        history.append(
            connection,
            who=self._database.who,
            action="unit.claimed",
            subject=f"{migration}/{plan.key}",
            attempt=attempt,
            holder=holder,
            before=before.attempt if before.attempt != attempt else None,
            anew=anew,
        )
        return (
            None if anew or before.checkpoint is None else Checkpoint.from_json(before.checkpoint)
        )

    def check(self, migration: str, unit: str, *, attempt: int) -> None:
        """:raises Fenced: ``attempt`` doesn't hold the unit any more."""
        self._database.transact(lambda c: hold(c, migration=migration, unit=unit, attempt=attempt))

    def checkpoint(self, migration: str, checkpoint: Checkpoint) -> None:
        """Keep the position; durable on return.

        :raises Fenced: the checkpoint's attempt doesn't hold the unit any more.
        """
        self._database.transact(lambda c: self._checkpoint(c, migration, checkpoint))

    def _checkpoint(self, connection: Connection, migration: str, checkpoint: Checkpoint) -> None:
        table = tables.unit
        this = (table.c.migration == migration) & (table.c.unit == checkpoint.unit)
        copied = checkpoint.phase is Phase.COPIED
        # A repair's checkpoints are "copied" all along: only the first one is news.
        news = copied and connection.scalar(select(table.c.phase).where(this)) != Phase.COPIED.value
        done = connection.execute(
            update(table)
            .where(this, table.c.attempt == checkpoint.attempt)
            .values(**_columns_of(checkpoint), updated_at=func.now())
        )
        if done.rowcount == 0:
            row = connection.execute(select(table.c.attempt, table.c.holder).where(this)).first()
            raise fenced(
                migration=migration,
                unit=checkpoint.unit,
                attempt=checkpoint.attempt,
                stored=row.attempt if row else None,
                holder=row.holder if row else None,
            )
        if news:
            history.append(
                connection,
                who=self._database.who,
                action="unit.copied",
                subject=f"{migration}/{checkpoint.unit}",
                attempt=checkpoint.attempt,
                documents=checkpoint.counters.documents,
                rejected=checkpoint.counters.rejected,
            )

    def removing(self, migration: str, unit: str, keys: Sequence[str], *, attempt: int) -> None:
        """Keep, for good, which documents are about to be removed from the unit's index.

        :raises Fenced: ``attempt`` doesn't hold the unit any more.
        """

        def work(connection: Connection) -> None:
            hold(connection, migration=migration, unit=unit, attempt=attempt)
            history.append(
                connection,
                who=self._database.who,
                action="documents.removing",
                subject=f"{migration}/{unit}",
                attempt=attempt,
                count=len(keys),
                keys=list(keys),
            )

        self._database.transact(work)

    def state(self, migration: str, unit: str) -> UnitState | None:
        """How one unit stands, ``None`` if no attempt ever claimed it."""
        return next(iter(self._states(migration, tables.unit.c.unit == unit)), None)

    def states(self, migration: str, *, tenant: str | None = None) -> list[UnitState]:
        """How the units of a migration stand, or those of one tenant, ordered by key."""
        if tenant is None:
            return self._states(migration)
        return self._states(migration, tables.unit.c.tenant == storable(tenant))

    def _states(self, migration: str, *conditions: Any) -> list[UnitState]:
        table = tables.unit
        query = select(table).where(table.c.migration == migration, *conditions)
        rows = self._database.transact(
            lambda c: c.execute(query.order_by(table.c.unit)).mappings().all()
        )
        return [
            UnitState(
                unit=row["unit"],
                stream=row["stream"],
                tenant=row["tenant"],
                period=row["period"],
                definition=row["definition"],
                index=row["index_name"],
                phase=Phase(row["phase"]),
                attempt=row["attempt"],
                holder=row["holder"],
                counters=Counters(
                    row["rows_read"], row["documents"], row["rejected"], row["bytes"]
                ),
                checkpoint=None
                if row["checkpoint"] is None
                else Checkpoint.from_json(row["checkpoint"]),
                updated_at=row["updated_at"],
            )
            for row in rows
        ]


def _columns_of(checkpoint: Checkpoint | None) -> dict[str, Any]:
    counters = checkpoint.counters if checkpoint else Counters()
    return {
        "phase": (checkpoint.phase if checkpoint else Phase.COPYING).value,
        "checkpoint": checkpoint.to_json() if checkpoint else None,
        "rows_read": counters.read,
        "documents": counters.documents,
        "rejected": counters.rejected,
        "bytes": counters.bytes,
    }
