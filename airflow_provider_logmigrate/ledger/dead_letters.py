"""Dead letters: documents the target refuses, kept with their reason until they get through."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection, LargeBinary, Select, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Rejected
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.fence import hold
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import cut, key_digest, storable


class LetterState(str, Enum):
    """What became of a dead letter."""

    OPEN = "open"
    REDRIVEN = "redriven"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused document without its content, which :meth:`DeadLetters.document` gives.

    :param status: HTTP status of the engine's answer for this document.
    :param kind: the engine's name for the error.
    :param size: of the document in bytes.
    :param attempt: the attempt that was refused last.
    """

    id: int
    unit: str
    key: str
    index: str
    status: int
    kind: str
    reason: str
    size: int
    state: LetterState
    attempt: int
    created_at: datetime
    updated_at: datetime


class DeadLetters:
    """Keeps refused documents, one per unit and key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, migration: str, plan: UnitPlan, rejected: Sequence[Rejected], *, attempt: int
    ) -> None:
        """Keep the documents, all or none; durable on return. Idempotent per key.

        A key that is refused again is open again, with the newest reason and document.

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
                "state",
                "attempt",
                "who",
            )
            statement = statement.on_conflict_do_update(
                index_elements=["migration", "unit", "key_digest"],
                set_={name: statement.excluded[name] for name in names}
                | {"updated_at": func.now()},
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

    def open_keys(self, migration: str, unit: str) -> set[str]:
        """Keys of the unit whose documents aren't in the target: expected to be missing there."""
        table = tables.dead_letter
        query = select(table.c.key).where(
            table.c.migration == migration,
            table.c.unit == unit,
            table.c.state != LetterState.REDRIVEN.value,
        )
        return self._database.transact(lambda connection: set(connection.scalars(query)))

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
        *,
        unit: str | None = None,
        state: LetterState | None = LetterState.OPEN,
        limit: int = 100,
    ) -> list[DeadLetter]:
        """The first ones in the order they came, without their documents.

        :param state: ``None`` for all.
        """
        query = _summary().where(tables.dead_letter.c.migration == migration)
        if unit is not None:
            query = query.where(tables.dead_letter.c.unit == unit)
        if state is not None:
            query = query.where(tables.dead_letter.c.state == state.value)
        query = query.order_by(tables.dead_letter.c.id).limit(limit)
        rows = self._database.transact(
            lambda connection: connection.execute(query).mappings().all()
        )
        return [DeadLetter(**dict(row) | {"state": LetterState(row["state"])}) for row in rows]

    def document(self, identifier: int) -> bytes | None:
        """The refused bytes of one dead letter, ``None`` if there is no such one."""
        query = select(tables.dead_letter.c.document).where(tables.dead_letter.c.id == identifier)
        found = self._database.transact(lambda connection: connection.scalar(query))
        return None if found is None else bytes(found)

    def resolve(
        self, migration: str, unit: str, keys: Collection[str], *, attempt: int | None = None
    ) -> int:
        """Mark open ones whose documents the target has by now; returns how many there were.

        :param keys: keys that were seen in the target, by an acknowledged write or by a proof.
        :param attempt: fence the change to this attempt; ``None`` where no attempt copies, as in a
            proof.
        :raises Fenced: ``attempt`` doesn't hold the unit any more.
        """
        if not keys:
            return 0
        table = tables.dead_letter
        digests = bindparam("digests", [key_digest(key) for key in keys], ARRAY(LargeBinary))
        statement = (
            update(table)
            .where(
                table.c.migration == migration,
                table.c.unit == unit,
                table.c.state == LetterState.OPEN.value,
                table.c.key_digest == func.any(digests),
            )
            .values(state=LetterState.REDRIVEN.value, updated_at=func.now())
        )

        def work(connection: Connection) -> int:
            if attempt is not None:
                hold(connection, migration=migration, unit=unit, attempt=attempt)
            count = connection.execute(statement).rowcount
            if count:
                history.append(
                    connection,
                    who=self._database.who,
                    action="dead_letters.redriven",
                    subject=f"{migration}/{unit}",
                    attempt=attempt,
                    count=count,
                )
            return count

        return self._database.transact(work)


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
    )
