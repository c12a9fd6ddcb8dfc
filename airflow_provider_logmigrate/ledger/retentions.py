"""What left a target for its age: plans, and what became of each index that they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from airflow_provider_logmigrate.core.retention_plan import RetentionItem, RetentionPlan
from airflow_provider_logmigrate.core.retention_run import ItemState
from airflow_provider_logmigrate.ledger import history
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.fence import hold
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.stored_plans import StoredPlans
from airflow_provider_logmigrate.ledger.text import storable


@dataclass(frozen=True, slots=True)
class Retention:
    """What became of one index of a plan.

    :param documents: that were to go; ``deleted`` of them went, ``None``: it isn't known yet.
    """

    plan: str
    index: str
    action: str
    units: tuple[str, ...]
    state: ItemState
    documents: int
    deleted: int | None


class Retentions:
    """Keeps retention plans and what they did."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._plans = StoredPlans(
            database,
            tables.retention_plan,
            kind="retention plan",
            action="retention.planned",
            parse=RetentionPlan.from_json,
        )

    def save(self, plan: RetentionPlan) -> str:
        """Keep the plan and return its hash. Idempotent; why others stay is kept anew."""
        return self._plans.save(plan, indices=len(plan.items), documents=plan.documents)

    def load(self, plan_hash: str) -> RetentionPlan:
        """The plan with this hash.

        :raises PlanUnusable: there is none, or the stored one was changed by hand.
        """
        return self._plans.load(plan_hash)

    def item(
        self, plan: RetentionPlan, item: RetentionItem, *, attempt: int, holder: str
    ) -> ItemLog:
        """The log of one attempt at one item.

        :param attempt: a new fencing token.
        :param holder: who that is, for the people who look.
        """
        return ItemLog(self._database, plan, item, attempt, holder)

    def list(self, migration: str) -> list[Retention]:
        """What was begun for a migration, oldest first."""
        table = tables.retention
        query = (
            select(table)
            .where(table.c.migration == migration)
            .order_by(table.c.created_at, table.c.index_name)
        )
        rows = self._database.transact(lambda c: c.execute(query).mappings().all())
        return [_retention(row) for row in rows]

    def units(self, migration: str) -> frozenset[str]:
        """Keys of units of which documents were deleted, or may have been."""
        table = tables.retention
        touched = or_(table.c.state != ItemState.STOPPED.value, table.c.deleted > 0)
        query = select(table.c.units).where(table.c.migration == migration, touched)
        found = self._database.transact(lambda c: c.scalars(query).all())
        return frozenset(unit for units in found for unit in units)


class ItemLog:
    """Implements :class:`~core.retention_run.RetentionLog`; made by :meth:`Retentions.item`."""

    def __init__(
        self,
        database: Database,
        plan: RetentionPlan,
        item: RetentionItem,
        attempt: int,
        holder: str,
    ) -> None:
        self._database, self._item, self._attempt, self._holder = database, item, attempt, holder
        self._plan, self._migration = plan.hash, plan.migration

    def state(self) -> ItemState | None:
        """See the port."""
        table = tables.retention
        query = select(table.c.state).where(*self._this())
        found = self._database.transact(lambda c: c.scalar(query))
        return ItemState(found) if found else None

    def intend(self) -> None:
        """See the port; takes the item's units over in the same transaction."""
        values = {
            "state": ItemState.INTENDED.value,
            "deleted": None,
            "who": storable(self._database.who),
        }
        statement = insert(tables.retention).values(
            **values,
            plan=self._plan,
            index_name=self._item.index,
            migration=self._migration,
            action=self._item.action.value,
            units=list(self._item.units),
            documents=self._item.documents,
        )
        statement = statement.on_conflict_do_update(
            index_elements=["plan", "index_name"], set_={**values, "updated_at": func.now()}
        )

        def work(connection: Connection) -> None:
            self._take_over(connection)
            connection.execute(statement)

        self._database.transact(work)

    def check(self) -> None:
        """See the port."""
        self._database.transact(self._hold)

    def settle(self, state: ItemState, *, deleted: int) -> None:
        """See the port."""
        table = tables.retention
        statement = (
            update(table)
            .where(*self._this(), table.c.state == ItemState.INTENDED.value)
            .values(state=state.value, deleted=deleted, updated_at=func.now())
        )

        def work(connection: Connection) -> None:
            if connection.execute(statement).rowcount:
                history.append(
                    connection,
                    who=self._database.who,
                    action=f"retention.{state.value}",
                    subject=f"{self._migration}/{self._item.index}",
                    plan=self._plan,
                    action_taken=self._item.action.value,
                    units=len(self._item.units),
                    deleted=deleted,
                )

        self._database.transact(work)

    def _this(self) -> tuple[Any, ...]:
        table = tables.retention
        return table.c.plan == self._plan, table.c.index_name == self._item.index

    def _take_over(self, connection: Connection) -> None:
        table = tables.unit
        connection.execute(
            update(table)
            .where(
                table.c.migration == self._migration,
                table.c.unit.in_(self._item.units),
                table.c.attempt < self._attempt,
            )
            .values(attempt=self._attempt, holder=storable(self._holder))
        )
        self._hold(connection)

    def _hold(self, connection: Connection) -> None:
        for unit in sorted(self._item.units):
            hold(connection, migration=self._migration, unit=unit, attempt=self._attempt)


def _retention(row: Any) -> Retention:
    return Retention(
        plan=row["plan"],
        index=row["index_name"],
        action=row["action"],
        units=tuple(row["units"]),
        state=ItemState(row["state"]),
        documents=row["documents"],
        deleted=row["deleted"],
    )
