"""The plan: what would be done, as data, with a hash that later steps quote.

The hash covers what matters (units, names, strategies, definitions) and leaves out what changes
by itself (estimates, times, warnings), so an unchanged repetition has the same hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from airflow_provider_logmigrate.core.layout import ShardNeeds, Share
from airflow_provider_logmigrate.core.unit import Unit


class ReadStrategy(str, Enum):
    """How a unit's rows are read."""

    KEYSET = "keyset"
    """Pages along an index on event time and key."""
    BY_PARENT = "by_parent"
    """Rows by their parents' keys, batch by batch."""
    BY_KEY = "by_key"
    """One scan lists keys, pages follow by primary key: for tables without a usable index."""
    SWEEP = "sweep"
    """One pass over the table for all tenants at once, by a DAG of its own. A unit by itself is
    only ever repaired, key by key."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Size of a unit before it is copied.

    :param exact: counted, not estimated.
    :param held_back: rows that aren't settled yet.
    :param newest: event time of the youngest row; ``None``: not asked.
    """

    rows: int
    bytes: int
    exact: bool
    held_back: int = 0
    newest: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        return {
            "rows": self.rows,
            "bytes": self.bytes,
            "exact": self.exact,
            "held_back": self.held_back,
            "newest": self.newest.isoformat() if self.newest else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Estimate:
        """Inverse of :meth:`to_json`."""
        newest = record.get("newest")
        moment = datetime.fromisoformat(newest) if newest else None
        return cls(**{**record, "newest": moment})


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """Everything one unit's steps need to know.

    :param definition: hash of the stream's definition, columns, mapping and settings: a
        checkpoint or index made from another definition isn't continued.
    :param body: mapping and settings the index is created with (canonical JSON object).
    :param share: the tenant's part of an index that belongs to all tenants; ``None``: the index is
        the unit's own.
    """

    unit: Unit
    alias: str
    tenant_alias: str
    index: str
    definition: str
    strategy: ReadStrategy
    strategy_reason: str
    body: Mapping[str, Any] = field(default_factory=dict)
    estimate: Estimate | None = None
    share: Share | None = None

    @property
    def key(self) -> str:
        """The unit's key."""
        return self.unit.key

    @property
    def routing(self) -> str | None:
        """Routing of every write and of reads by id; ``None``: the engine's own, by id."""
        return self.share.routing if self.share else None

    @property
    def owner(self) -> str:
        """Whose index it is: the unit's key, with ``*`` for the tenant if it is everybody's."""
        return self.key if self.share is None else shared_owner(self.unit)

    def material(self) -> dict[str, Any]:
        """What the plan's hash covers."""
        shared = {"share": self.share.to_json()} if self.share else {}
        return shared | {
            "unit": self.unit.key,
            "alias": self.alias,
            "tenant_alias": self.tenant_alias,
            "index": self.index,
            "definition": self.definition,
            "strategy": self.strategy.value,
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        return self.material() | {
            "strategy_reason": self.strategy_reason,
            "body": dict(self.body),
            "estimate": self.estimate.to_json() if self.estimate else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> UnitPlan:
        """Inverse of :meth:`to_json`."""
        return cls(
            unit=Unit.from_key(record["unit"]),
            alias=record["alias"],
            tenant_alias=record["tenant_alias"],
            index=record["index"],
            definition=record["definition"],
            strategy=ReadStrategy(record["strategy"]),
            strategy_reason=record["strategy_reason"],
            body=record["body"],
            estimate=Estimate.from_json(record["estimate"]) if record["estimate"] else None,
            share=Share.from_json(record["share"]) if "share" in record else None,
        )


def shared_owner(unit: Unit) -> str:
    """Owner of the shared index a unit is in; no unit's key, since no tenant encodes to ``*``."""
    return f"{unit.stream}/*/{unit.period.label}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A tenant's plan.

    :param options: material options of the run (streams, range, mode), part of the hash.
    :param shards: shards the plan adds to the target. A shared index that isn't there yet counts
        in the plan of every tenant that would create it.
    :param needs: shards of the whole migration in either layout; ``None`` in plans of before.
    :param warnings: what a person should read before approving.
    """

    migration: str
    tenant: str
    units: tuple[UnitPlan, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    shards: int = 0
    duration_seconds: float | None = None
    warnings: tuple[str, ...] = ()
    needs: ShardNeeds | None = None

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON of the material parts."""
        return digest(
            {
                "migration": self.migration,
                "tenant": self.tenant,
                "options": dict(self.options),
                "units": [unit.material() for unit in self.units],
            }
        )

    @property
    def rows(self) -> int:
        """Estimated rows of all units, unsettled ones left out."""
        return sum(u.estimate.rows for u in self.units if u.estimate)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        return {
            "migration": self.migration,
            "tenant": self.tenant,
            "units": [unit.to_json() for unit in self.units],
            "options": dict(self.options),
            "shards": self.shards,
            "duration_seconds": self.duration_seconds,
            "warnings": list(self.warnings),
            "needs": self.needs.to_json() if self.needs else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Plan:
        """Inverse of :meth:`to_json`."""
        return cls(
            migration=record["migration"],
            tenant=record["tenant"],
            units=tuple(UnitPlan.from_json(unit) for unit in record["units"]),
            options=record["options"],
            shards=record["shards"],
            duration_seconds=record["duration_seconds"],
            warnings=tuple(record["warnings"]),
            needs=ShardNeeds.from_json(record["needs"]) if record.get("needs") else None,
        )


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values, equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
