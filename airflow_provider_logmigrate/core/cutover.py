"""Cut-over as data: alias actions that run in one atomic call, and their exact inverse."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_logmigrate.core.errors import IndexConflict
from airflow_provider_logmigrate.core.plan import UnitPlan, digest

Aliases = Mapping[str, frozenset[str]]
"""Alias -> indices it points to now."""


@dataclass(frozen=True, slots=True, order=True)
class AliasAction:
    """Add one alias to one index, or take it away. Both names are concrete."""

    kind: Literal["add", "remove"]
    index: str
    alias: str

    def inverse(self) -> AliasAction:
        """What undoes it."""
        return AliasAction("remove" if self.kind == "add" else "add", self.index, self.alias)

    def to_json(self) -> dict[str, str]:
        """Plain JSON values for the ledger."""
        return {"kind": self.kind, "index": self.index, "alias": self.alias}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> AliasAction:
        """Inverse of :meth:`to_json`."""
        return cls(record["kind"], record["index"], record["alias"])


@dataclass(frozen=True, slots=True)
class Swap:
    """A cut-over: what to do in one call and what would undo exactly that."""

    actions: tuple[AliasAction, ...]

    @property
    def inverse(self) -> tuple[AliasAction, ...]:
        """Undoes :attr:`actions`, in reverse order."""
        return tuple(action.inverse() for action in reversed(self.actions))

    @property
    def hash(self) -> str:
        """SHA-256 of the actions."""
        return digest([action.to_json() for action in self.actions])


def plan_swap(units: Iterable[UnitPlan], *, current: Aliases, indices: frozenset[str]) -> Swap:
    """Actions that make each unit's aliases point to its index and to no older version of it.

    The unit's alias ends on exactly one index. The tenant's alias keeps other periods and loses
    only older versions of the same unit. What is already right yields no action, so repeating a
    swap is harmless.

    :param current: where the aliases concerned point now.
    :param indices: names of existing concrete indices among the aliases' names.
    :raises IndexConflict: an alias name is taken by a concrete index.
    """
    actions: list[AliasAction] = []
    state = {alias: set(held) for alias, held in current.items()}
    for unit in units:
        for alias in (unit.alias, unit.tenant_alias):
            if alias in indices:
                raise IndexConflict(
                    "an index already has the name of the alias that readers should use",
                    where=alias,
                )
        behind = state.get(unit.alias, set()) - {unit.index}
        for alias in (unit.alias, unit.tenant_alias):
            held = state.setdefault(alias, set())
            # By name too: whoever emptied the unit's alias may have left the tenant's as it was.
            older = {i for i in held if i in behind or _is_version(i, unit)} - {unit.index}
            actions += [AliasAction("remove", index, alias) for index in sorted(older)]
            if unit.index not in held:
                actions.append(AliasAction("add", unit.index, alias))
            held -= older
            held.add(unit.index)
    return Swap(tuple(actions))


def _is_version(index: str, unit: UnitPlan) -> bool:
    return re.fullmatch(re.escape(unit.alias) + r"-v[0-9]+", index) is not None
