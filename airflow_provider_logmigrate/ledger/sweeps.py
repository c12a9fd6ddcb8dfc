"""Sweeps: the plan of each, and how it stands."""

from __future__ import annotations

from enum import Enum
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.sweep import Part, SweepPlan
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import storable

ANEW = "trigger the sweep's DAG again: its plan_sweep task makes a new plan"


class SweepState(str, Enum):
    """How a sweep stands."""

    OPEN = "open"
    SETTLED = "settled"
    """All parts are swept and all units marked."""
    DROPPED = "dropped"
    """Another sweep was planned in its place."""


class Sweeps:
    """Keeps sweeps. A sweep's number is a fencing token: the attempt that its units are held by."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, plan: SweepPlan) -> int:
        """Keep a plan; its number. Open sweeps of the migration are dropped.

        Repeated after a lost answer it leaves an open sweep without an owner, dropped by the next.
        """

        def work(connection: Connection) -> int:
            number: int = connection.execute(select(tables.attempt_seq.next_value())).scalar_one()
            connection.execute(
                update(tables.sweep)
                .where(
                    tables.sweep.c.migration == plan.migration,
                    tables.sweep.c.state == SweepState.OPEN.value,
                )
                .values(state=SweepState.DROPPED.value, updated_at=func.now())
            )
            who = storable(self._database.who)
            connection.execute(
                insert(tables.sweep).values(
                    number=number,
                    migration=plan.migration,
                    hash=plan.hash,
                    state=SweepState.OPEN.value,
                    body=plan.to_json(),
                    who=who,
                )
            )
            if plan.parts:
                connection.execute(
                    insert(tables.sweep_part),
                    [_new_part(number, part) | {"who": who} for part in plan.parts],
                )
            self._note(
                connection,
                "sweep.planned",
                plan.migration,
                number,
                hash=plan.hash,
                units=len(plan.units),
                parts=len(plan.parts),
            )
            return number

        return self._database.transact(work)

    def load(self, number: int) -> SweepPlan:
        """A sweep's plan.

        :raises PlanUnusable: there is none, it was dropped, or it was changed by hand.
        """
        query = select(tables.sweep.c.body, tables.sweep.c.hash, tables.sweep.c.state)
        row = self._database.transact(
            lambda c: c.execute(query.where(tables.sweep.c.number == number)).first()
        )
        if row is None or row.state == SweepState.DROPPED.value:
            why = "the ledger has no such sweep" if row is None else "another sweep took its place"
            raise PlanUnusable(why, where=f"sweep {number}", next_step=ANEW)
        try:
            plan = SweepPlan.from_json(row.body)
        except (KeyError, TypeError, ValueError) as error:
            raise PlanUnusable(
                f"the stored plan can't be read: {error!r}",
                where=f"sweep {number}",
                next_step=ANEW,
            ) from error
        if plan.hash != row.hash:
            raise PlanUnusable(
                "the stored plan isn't what was saved", where=f"sweep {number}", next_step=ANEW
            )
        return plan

    def unfinished(self, migration: str) -> int | None:
        """Number of the migration's open sweep, if it has one."""
        table = tables.sweep
        query = select(func.max(table.c.number)).where(
            table.c.migration == migration, table.c.state == SweepState.OPEN.value
        )
        number: int | None = self._database.transact(lambda c: c.scalar(query))
        return number

    def settled(self, number: int) -> None:
        """The sweep is done with. Idempotent."""

        def work(connection: Connection) -> None:
            table = tables.sweep
            migration = connection.scalar(
                update(table)
                .where(table.c.number == number, table.c.state == SweepState.OPEN.value)
                .values(state=SweepState.SETTLED.value, updated_at=func.now())
                .returning(table.c.migration)
            )
            if migration is not None:
                self._note(connection, "sweep.settled", migration, number)

        self._database.transact(work)

    def _note(
        self, connection: Connection, action: str, migration: str, number: int, **detail: Any
    ) -> None:
        history.append(
            connection,
            who=self._database.who,
            action=action,
            subject=f"{migration}/sweep {number}",
            **detail,
        )


def _new_part(number: int, part: Part) -> dict[str, Any]:
    return {
        "sweep": number,
        "part": part.number,
        "stream": part.stream,
        "relation": storable(str(part.relation)),
        "lane": part.lane,
        "first_block": part.first,
        "end_block": part.end,
        "next_block": part.first,
        "next_line": 0,
        "phase": "sweeping",
        "attempt": number,
        "holder": "nobody yet",
        "skipped": {},
    }
