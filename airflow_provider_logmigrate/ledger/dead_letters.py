"""Dead letters: documents the target refuses, kept with their reason until they get through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Rejected
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.fence import hold
from airflow_provider_logmigrate.ledger.letter import (
    EVERYTHING,
    Choice,
    DeadLetter,
    LetterState,
    Unresolved,
)
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import cut, key_digest, storable

__all__ = ["Choice", "DeadLetter", "DeadLetters", "LetterState", "Unresolved"]


class DeadLetters:
    """Keeps refused documents, one per unit and key.

    Those that have got through are closed with the certificate of the proof that saw it, see
    :meth:`Certificates.save`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, migration: str, plan: UnitPlan, rejected: Sequence[Rejected], *, attempt: int
    ) -> None:
        """Keep the documents, all or none; durable on return. Idempotent per key.

        A key that is refused again is open again, with the newest reason and document. A waived
        one stays waived, by whom and why it was.

        :raises Fenced: ``attempt`` doesn't hold the unit any more.
        """
        # One statement may touch a row once only; of a key refused twice the last one counts.
        letters = {item.key: self._row(migration, plan, item, attempt) for item in rejected}
        if not letters:
            return

        def work(connection: Connection) -> None:
            hold(connection, migration=migration, unit=plan.key, attempt=attempt)
            statement = insert(tables.dead_letter)
            names = (
                "index_name",
                "status",
                "kind",
                "reason",
                "document",
                "attempt",
            )
            old, new = tables.dead_letter.c, statement.excluded
            waived = old.state == LetterState.WAIVED.value
            statement = statement.on_conflict_do_update(
                index_elements=["migration", "unit", "key_digest"],
                set_={name: new[name] for name in names}
                | {
                    "state": case((waived, old.state), else_=new.state),
                    "who": case((waived, old.who), else_=new.who),
                    "updated_at": case((waived, old.updated_at), else_=func.now()),
                    # Two looks of one attempt are one try.
                    "tries": old.tries + case((new.attempt > old.attempt, 1), else_=0),
                },
            )
            connection.execute(statement, list(letters.values()))
            history.append(
                connection,
                who=self._database.who,
                action="dead_letters.kept",
                subject=f"{migration}/{plan.key}",
                attempt=attempt,
                count=len(letters),
            )

        self._database.transact(work)

    def _row(
        self, migration: str, plan: UnitPlan, item: Rejected, attempt: int
    ) -> Mapping[str, Any]:
        return {
            "migration": migration,
            "unit": plan.key,
            "key": storable(item.key),
            "key_digest": key_digest(item.key),
            "index_name": plan.index,
            "status": item.status,
            "kind": cut(item.kind),
            "reason": cut(item.reason),
            "document": item.document,
            "state": LetterState.OPEN.value,
            "attempt": attempt,
            "who": storable(self._database.who),
        }

    def unresolved(self, migration: str, unit: str) -> Unresolved:
        """Keys of the unit whose documents aren't in the target: expected to be missing there."""
        table = tables.dead_letter
        query = select(table.c.key, table.c.state).where(
            table.c.migration == migration,
            table.c.unit == unit,
            table.c.state != LetterState.REDRIVEN.value,
        )
        found = self._database.transact(lambda connection: connection.execute(query).all())
        return Unresolved(
            rejected=frozenset(k for k, state in found if state == LetterState.OPEN.value),
            waived=frozenset(k for k, state in found if state == LetterState.WAIVED.value),
        )

    def counts(self, migration: str) -> dict[str, int]:
        """How many are open, by unit; a unit without any isn't in it."""
        table = tables.dead_letter
        query = (
            select(table.c.unit, func.count())
            .where(table.c.migration == migration, table.c.state == LetterState.OPEN.value)
            .group_by(table.c.unit)
        )
        return self._database.transact(
            lambda connection: {row[0]: row[1] for row in connection.execute(query)}
        )

    def list(
        self,
        migration: str,
        choice: Choice = EVERYTHING,
        *,
        state: LetterState | None = LetterState.OPEN,
        limit: int | None = 100,
    ) -> list[DeadLetter]:
        """The first ones in the order they came, without their documents.

        :param state: ``None`` for all.
        :param limit: ``None``: all of them.
        """
        query = _summary().where(*choice.conditions(migration))
        if state is not None:
            query = query.where(tables.dead_letter.c.state == state.value)
        query = query.order_by(tables.dead_letter.c.id).limit(limit)
        return self._database.transact(lambda connection: _read(connection, query))

    def get(self, identifier: int) -> tuple[str, DeadLetter]:
        """One of them, and its migration. :raises PlanUnusable: there is no such one."""
        table = tables.dead_letter
        query = _summary().where(table.c.id == identifier)
        of = select(table.c.migration).where(table.c.id == identifier)
        migration, found = self._database.transact(
            lambda connection: (connection.scalar(of), _read(connection, query))
        )
        if migration is None or not found:
            raise _unknown([identifier])
        return migration, found[0]

    def waive(self, identifiers: Sequence[int], *, why: str) -> Sequence[DeadLetter]:
        """Accept that these documents stay away; all or none, durable on return.

        Their rows still count as lacking a document, under their own name. Who, when and why is
        kept; waiving again changes the reason.

        :raises PlanUnusable: one isn't there, or has got through meanwhile; or there is no reason.
        """
        if not why.strip():
            raise PlanUnusable("a waiver needs a reason", where="dead letters", next_step="say why")
        table, wanted = tables.dead_letter, sorted(set(identifiers))

        def work(connection: Connection) -> Sequence[DeadLetter]:
            locked = connection.execute(
                select(table.c.id, table.c.migration, table.c.unit, table.c.state)
                .where(table.c.id.in_(wanted))
                .order_by(table.c.id)
                .with_for_update()
            ).all()
            if unknown := set(wanted) - {row.id for row in locked}:
                raise _unknown(sorted(unknown))
            if through := [row.id for row in locked if row.state == LetterState.REDRIVEN.value]:
                raise PlanUnusable(
                    "the document has got through meanwhile: there is nothing to waive",
                    where=", ".join(f"dead letter {identifier}" for identifier in through),
                    next_step="leave it out",
                )
            connection.execute(
                update(table)
                .where(table.c.id.in_(wanted))
                .values(
                    state=LetterState.WAIVED.value,
                    why=cut(why.strip()),
                    who=storable(self._database.who),
                    updated_at=func.now(),
                )
            )
            for row in locked:
                history.append(
                    connection,
                    who=self._database.who,
                    action="dead_letters.waived",
                    subject=f"{row.migration}/{row.unit}",
                    letter=row.id,
                    why=cut(why.strip()),
                )
            return _read(connection, _summary().where(table.c.id.in_(wanted)).order_by(table.c.id))

        return self._database.transact(work)

    def document(self, identifier: int) -> bytes | None:
        """The refused bytes of one dead letter, ``None`` if there is no such one."""
        query = select(tables.dead_letter.c.document).where(tables.dead_letter.c.id == identifier)
        found = self._database.transact(lambda connection: connection.scalar(query))
        return None if found is None else bytes(found)


def _summary() -> Select[Any]:
    table = tables.dead_letter
    return select(
        table.c.id,
        table.c.unit,
        table.c.key,
        table.c.index_name.label("index"),
        table.c.status,
        table.c.kind,
        table.c.reason,
        func.octet_length(table.c.document).label("size"),
        table.c.state,
        table.c.attempt,
        table.c.created_at,
        table.c.updated_at,
        table.c.tries,
        table.c.who,
        table.c.why,
    )


def _read(connection: Connection, query: Select[Any]) -> list[DeadLetter]:
    rows = connection.execute(query).mappings().all()
    return [DeadLetter(**dict(row) | {"state": LetterState(row["state"])}) for row in rows]


def _unknown(identifiers: Sequence[int]) -> PlanUnusable:
    return PlanUnusable(
        "the ledger has no such dead letter",
        where=", ".join(f"dead letter {identifier}" for identifier in identifiers),
        next_step="list them with `airflow logmigrate dead-letters list`",
    )
