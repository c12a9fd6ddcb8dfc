"""The retention plan: which indices and documents leave the target, and by which rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.plan import digest
from airflow_provider_logmigrate.core.retention_rules import Where


class Action(str, Enum):
    """How documents go."""

    DROP = "drop"
    """The whole index, with its aliases, in one atomic call."""
    DELETE = "delete_by_query"
    """Some documents of it."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Documents of one unit that go by one rule.

    :param before: they are older than this.
    :param rule: the rule in words.
    """

    unit: str
    share: Share | None
    where: Where
    unless: tuple[Where, ...]
    before: str
    documents: int
    newest: str
    rule: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        share = self.share.to_json() if self.share else None
        return {name: getattr(self, name) for name in self.__slots__} | {
            "share": share,
            "where": _fields(self.where),
            "unless": [_fields(where) for where in self.unless],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Slice:
        """Inverse of :meth:`to_json`."""
        share = Share.from_json(record["share"]) if record["share"] else None
        unless = tuple(_where(fields) for fields in record["unless"])
        changed = {"share": share, "where": _where(record["where"]), "unless": unless}
        return cls(**{**record, **changed})


@dataclass(frozen=True, slots=True)
class RetentionItem:
    """What goes of one index.

    :param uuid: the engine's id of it: another index of the same name is another one.
    :param total: documents that it holds.
    :param aliases: that point to it, and go with it if it is dropped.
    """

    index: str
    uuid: str
    action: Action
    total: int
    aliases: tuple[str, ...]
    slices: tuple[Slice, ...]

    @property
    def documents(self) -> int:
        """How many go."""
        return sum(part.documents for part in self.slices)

    @property
    def newest(self) -> str:
        """Event time of the youngest that goes."""
        return max(part.newest for part in self.slices)

    @property
    def units(self) -> tuple[str, ...]:
        """Keys of the units whose documents go."""
        return tuple(dict.fromkeys(part.unit for part in self.slices))

    @property
    def why(self) -> Iterator[str]:
        """For people, by slice."""
        for part in self.slices:
            yield (
                f"{part.documents:,} documents of {part.unit}, the youngest of"
                f" {part.newest[:10]}: they go {part.rule}"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        record = {name: getattr(self, name) for name in self.__slots__}
        slices = [part.to_json() for part in self.slices]
        changed = {"action": self.action.value, "aliases": list(self.aliases), "slices": slices}
        return record | changed

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RetentionItem:
        """Inverse of :meth:`to_json`."""
        changed = {
            "action": Action(record["action"]),
            "aliases": tuple(record["aliases"]),
            "slices": tuple(Slice.from_json(part) for part in record["slices"]),
        }
        return cls(**{**record, **changed})


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What goes of a migration's indices.

    :param as_of: midnight (UTC) that ages are counted to: all plans of a day are alike.
    :param kept: why other indices, or parts of them, stay.
    """

    migration: str
    as_of: datetime
    items: tuple[RetentionItem, ...]
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON of what goes."""
        return digest({**self.to_json(), "kept": {}})

    @property
    def documents(self) -> int:
        """How many go."""
        return sum(item.documents for item in self.items)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        return {
            "migration": self.migration,
            "as_of": self.as_of.isoformat(),
            "items": [item.to_json() for item in self.items],
            "kept": {name: list(why) for name, why in self.kept.items()},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RetentionPlan:
        """Inverse of :meth:`to_json`."""
        return cls(
            migration=record["migration"],
            as_of=datetime.fromisoformat(record["as_of"]),
            items=tuple(RetentionItem.from_json(item) for item in record["items"]),
            kept={name: tuple(why) for name, why in record["kept"].items()},
        )


def _fields(where: Where) -> list[list[Any]]:
    return [[name, list(values)] for name, values in where]


def _where(fields: Iterable[Any]) -> Where:
    return tuple((name, tuple(values)) for name, values in fields)
