"""Cut-overs: stored with their inverse before they run, so that each can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.cutover import AliasAction, Swap
from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import cut, storable


class CutoverState(str, Enum):
    """How far a cut-over is."""

    PLANNED = "planned"
    """Stored. If it stays so, its task died around the alias call: look at the aliases."""
    APPLIED = "applied"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    """The alias call was refused or its answer was lost."""


@dataclass(frozen=True, slots=True)
class Cutover:
    """A cut-over as stored.

    :param hash: of the actions.
    :param certificates: ids of the certificates it relied on.
    """

    id: str
    migration: str
    tenant: str
    state: CutoverState
    hash: str
    actions: tuple[AliasAction, ...]
    inverse: tuple[AliasAction, ...]
    certificates: tuple[str, ...]
    failure: str | None
    applied_at: datetime | None
    rolled_back_at: datetime | None
    rolled_back_by: str | None
    created_at: datetime
    who: str


class Cutovers:
    """Keeps cut-overs; every change of state is a compare-and-set."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(
        self,
        *,
        cutover_id: str,
        migration: str,
        tenant: str,
        swap: Swap,
        certificates: Sequence[str],
    ) -> Cutover:
        """Store the cut-over and its inverse; durable on return, and only then may it run.

        Idempotent for the same id and actions. One that was rolled back is planned anew; the
        history keeps that it was undone.

        :param cutover_id: made from the run, so that a retry finds what the attempt before stored.
        :raises PlanUnusable: the id is stored with other actions.
        """

        def work(connection: Connection) -> Cutover:
            statement = insert(tables.cutover).values(
                id=cutover_id,
                migration=migration,
                tenant=storable(tenant),
                state=CutoverState.PLANNED.value,
                hash=swap.hash,
                actions=[action.to_json() for action in swap.actions],
                inverse=[action.to_json() for action in swap.inverse],
                certificates=list(certificates),
                who=storable(self._database.who),
            )
            new = statement.on_conflict_do_nothing().returning(tables.cutover.c.id)
            if connection.execute(new).first() is not None:
                self._note(connection, "cutover.planned", cutover_id, hash=swap.hash)
            stored = _get(connection, cutover_id)
            if stored.hash != swap.hash:
                raise PlanUnusable(
                    f"the cut-over is stored with other actions, state {stored.state.value}",
                    where=f"cut-over {cutover_id}",
                )
            if stored.state is not CutoverState.ROLLED_BACK:
                return stored
            self._note(connection, "cutover.planned", cutover_id, hash=swap.hash, again=True)
            connection.execute(
                update(tables.cutover)
                .where(tables.cutover.c.id == cutover_id)
                .values(
                    state=CutoverState.PLANNED.value,
                    certificates=list(certificates),
                    failure=None,
                    applied_at=None,
                    rolled_back_at=None,
                    rolled_back_by=None,
                )
            )
            return _get(connection, cutover_id)

        return self._database.transact(work)

    def mark_applied(self, cutover_id: str) -> Cutover:
        """The alias call succeeded. Idempotent.

        :raises PlanUnusable: unknown, or rolled back meanwhile.
        """
        return self._move(
            cutover_id,
            to=CutoverState.APPLIED,
            before=(CutoverState.PLANNED, CutoverState.FAILED),
            applied_at=func.now(),
            failure=None,
        )

    def mark_failed(self, cutover_id: str, reason: str) -> Cutover:
        """The alias call failed. Idempotent. :raises PlanUnusable: unknown, or applied already."""
        return self._move(
            cutover_id, to=CutoverState.FAILED, before=(CutoverState.PLANNED,), failure=cut(reason)
        )

    def mark_rolled_back(self, cutover_id: str, *, by: str) -> Cutover:
        """The inverse ran. Idempotent.

        Allowed from every state: what stands as planned or failed may have reached the engine.

        :param by: the person.
        :raises PlanUnusable: unknown.
        """
        return self._move(
            cutover_id,
            to=CutoverState.ROLLED_BACK,
            before=(CutoverState.APPLIED, CutoverState.PLANNED, CutoverState.FAILED),
            rolled_back_at=func.now(),
            rolled_back_by=storable(by),
        )

    def get(self, cutover_id: str) -> Cutover:
        """The cut-over. :raises PlanUnusable: unknown."""
        return self._database.transact(lambda connection: _get(connection, cutover_id))

    def list(self, migration: str, *, tenant: str | None = None, limit: int = 100) -> list[Cutover]:
        """The newest first."""
        table = tables.cutover
        query = select(table).where(table.c.migration == migration)
        if tenant is not None:
            query = query.where(table.c.tenant == storable(tenant))
        query = query.order_by(table.c.created_at.desc(), table.c.id).limit(limit)
        rows = self._database.transact(
            lambda connection: connection.execute(query).mappings().all()
        )
        return [_cutover(row) for row in rows]

    def _move(
        self, cutover_id: str, *, to: CutoverState, before: Sequence[CutoverState], **values: Any
    ) -> Cutover:
        table = tables.cutover
        statement = (
            update(table)
            .where(table.c.id == cutover_id, table.c.state.in_([state.value for state in before]))
            .values(state=to.value, **values)
        )

        def work(connection: Connection) -> Cutover:
            moved = connection.execute(statement).rowcount
            stored = _get(connection, cutover_id)
            if moved:
                self._note(connection, f"cutover.{to.value}", cutover_id, failure=stored.failure)
            elif stored.state is not to:
                raise PlanUnusable(
                    f"the cut-over is {stored.state.value} and can't become {to.value}",
                    where=f"cut-over {cutover_id}",
                    next_step="run the DAG again: its swap task plans from the aliases as they are",
                )
            return stored

        return self._database.transact(work)

    def _note(self, connection: Connection, action: str, cutover_id: str, **detail: Any) -> None:
        history.append(
            connection, who=self._database.who, action=action, subject=cutover_id, **detail
        )


def _get(connection: Connection, cutover_id: str) -> Cutover:
    query = select(tables.cutover).where(tables.cutover.c.id == storable(cutover_id))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise PlanUnusable(
            "the ledger has no such cut-over",
            where=f"cut-over {cutover_id}",
            next_step="`airflow logmigrate status` lists the cut-overs",
        )
    return _cutover(row)


def _cutover(row: Any) -> Cutover:
    return Cutover(
        id=row["id"],
        migration=row["migration"],
        tenant=row["tenant"],
        state=CutoverState(row["state"]),
        hash=row["hash"],
        actions=tuple(AliasAction.from_json(action) for action in row["actions"]),
        inverse=tuple(AliasAction.from_json(action) for action in row["inverse"]),
        certificates=tuple(row["certificates"]),
        failure=row["failure"],
        applied_at=row["applied_at"],
        rolled_back_at=row["rolled_back_at"],
        rolled_back_by=row["rolled_back_by"],
        created_at=row["created_at"],
        who=row["who"],
    )
