"""Cut-over as data: alias actions that run in one atomic call, and their exact inverse."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_logmigrate.core.errors import IndexConflict
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.naming import encode_tenant
from airflow_provider_logmigrate.core.plan import UnitPlan, digest

Aliases = Mapping[str, Mapping[str, Share | None]]
"""Alias -> index it points to now -> the part of that index it shows, ``None`` for all of it."""


@dataclass(frozen=True, slots=True)
class AliasAction:
    """Add one alias to one index, or take it away. Both names are concrete.

    :param share: what the alias shows of the index; of one that is taken away: what it showed, so
        that the inverse gives back exactly that.
    """

    kind: Literal["add", "remove"]
    index: str
    alias: str
    share: Share | None = None

    def inverse(self) -> AliasAction:
        """What undoes it."""
        kind: Literal["add", "remove"] = "remove" if self.kind == "add" else "add"
        return AliasAction(kind, self.index, self.alias, self.share)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        share = {"share": self.share.to_json()} if self.share else {}
        return {"kind": self.kind, "index": self.index, "alias": self.alias, **share}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> AliasAction:
        """Inverse of :meth:`to_json`."""
        share = Share.from_json(record["share"]) if "share" in record else None
        return cls(record["kind"], record["index"], record["alias"], share)


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
    """Actions that make each unit's aliases show its index and no older version of it.

    The unit's alias ends on exactly one index. The tenant's alias keeps other periods and loses
    only older versions of the same unit, those of the other layout included. In a shared index
    both show the tenant's part only. What is already right yields no action, so repeating a swap
    is harmless.

    :param current: where the aliases concerned point now.
    :param indices: names of existing concrete indices among the aliases' names.
    :raises IndexConflict: an alias name is taken by a concrete index.
    """
    actions: list[AliasAction] = []
    state = {alias: dict(held) for alias, held in current.items()}
    for unit in units:
        for alias in (unit.alias, unit.tenant_alias):
            if alias in indices:
                raise IndexConflict(
                    "an index already has the name of the alias that readers should use",
                    where=alias,
                )
        behind = state.get(unit.alias, {}).keys() - {unit.index}
        for alias in (unit.alias, unit.tenant_alias):
            held = state.setdefault(alias, {})
            # By name too: whoever emptied the unit's alias may have left the tenant's as it was.
            gone = {i for i in held if i in behind or _is_version(i, unit)} - {unit.index}
            if unit.index in held and held[unit.index] != unit.share:
                gone.add(unit.index)  # it shows another part of it: taken away, then added anew
            actions += [
                AliasAction("remove", index, alias, held.pop(index)) for index in sorted(gone)
            ]
            if unit.index not in held:
                actions.append(AliasAction("add", unit.index, alias, unit.share))
                held[unit.index] = unit.share
    return Swap(tuple(actions))


def _is_version(index: str, unit: UnitPlan) -> bool:
    """True for a version of the unit's index, its own or the one it shared."""
    period = unit.alias.removeprefix(unit.tenant_alias)
    common = unit.tenant_alias.removesuffix(f"-{encode_tenant(unit.unit.tenant)}") + period
    version = re.fullmatch(r"(.+)-v[0-9]+", index)
    return version is not None and version[1] in (unit.alias, common)
