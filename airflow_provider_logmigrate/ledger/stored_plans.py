"""Plans of one kind in their table, by their hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.errors import PlanUnusable
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.text import storable


class Hashed(Protocol):
    """What a plan must have to be kept."""

    @property
    def migration(self) -> str:
        """Name of its migration."""

    @property
    def hash(self) -> str:
        """Of all that matters in it."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, all of it."""


P = TypeVar("P", bound=Hashed)


class StoredPlans(Generic[P]):
    """Keeps plans of one kind: what a later step quotes is exactly what was shown before.

    :param kind: what messages call one.
    :param action: what the history calls the first keeping of one.
    :param parse: reads what the plan's ``to_json`` gave.
    :param next_step: for whoever asks for one that can't be used; the error's own by default.
    """

    def __init__(
        self,
        database: Database,
        table: Table,
        *,
        kind: str,
        action: str,
        parse: Callable[[Mapping[str, Any]], P],
        next_step: str = "",
    ) -> None:
        self._database, self._table = database, table
        self._kind, self._action = kind, action
        self._parse, self._next_step = parse, next_step

    def save(self, plan: P, *, tenant: str | None = None, **told: Any) -> str:
        """Keep the plan and return its hash. Idempotent: the same hash is kept once.

        A repetition refreshes what the hash leaves out, so that later steps work with what a person
        saw last.

        :param tenant: whose it is, where the kind is one tenant's.
        :param told: facts for the history.
        """
        plan_hash, table, body = plan.hash, self._table, plan.to_json()
        whose = {} if tenant is None else {"tenant": tenant}
        values = {
            "hash": plan_hash,
            "migration": plan.migration,
            "body": body,
            "who": storable(self._database.who),
            **{name: storable(value) for name, value in whose.items()},
        }

        def work(connection: Connection) -> None:
            statement = insert(table).values(values).on_conflict_do_nothing()
            if connection.execute(statement.returning(table.c.hash)).first() is None:
                connection.execute(
                    table.update().where(table.c.hash == plan_hash).values(body=body)
                )
                return
            history.append(
                connection,
                who=self._database.who,
                action=self._action,
                subject=plan_hash,
                migration=plan.migration,
                **whose,
                **told,
            )

        self._database.transact(work)
        return plan_hash

    def load(self, plan_hash: str) -> P:
        """The plan with this hash.

        :raises PlanUnusable: there is none, or the stored one was changed by hand.
        """
        query = select(self._table.c.body).where(self._table.c.hash == storable(plan_hash))
        body: dict[str, Any] | None = self._database.transact(lambda c: c.scalar(query))
        if body is None:
            raise self._unusable(f"the ledger has no such {self._kind}", plan_hash)
        try:
            plan = self._parse(body)
        except (KeyError, TypeError, ValueError) as error:
            raise self._unusable(f"the stored plan can't be read: {error!r}", plan_hash) from error
        if plan.hash != plan_hash:
            raise self._unusable("the stored plan isn't what was saved", plan_hash)
        return plan

    def _unusable(self, what: str, plan_hash: str) -> PlanUnusable:
        return PlanUnusable(what, where=f"{self._kind} {plan_hash}", next_step=self._next_step)
