"""The one checkpoint record of a unit, and which of several records to believe.

A checkpoint moves past a row only when the row's document is acknowledged by the target or stands
in the dead letters. It is kept in Airflow's task state (survives a retry) and in the ledger
(survives the run); on start the newest valid one wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

FORMAT = 1
"""Version of the stored record; a record of another format is ignored, never guessed at."""


class Phase(str, Enum):
    """How far a unit's copy is."""

    COPYING = "copying"
    COPIED = "copied"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row that is safe: its event time and key, as the source prints them.

    For ``by_parent`` reads it is the last finished parent row instead.
    """

    event_time: str
    key: str


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of the rows read so far.

    :param read: rows read, rows read again by a resumed attempt included.
    :param documents: acknowledged by the target.
    :param rejected: in the dead letters.
    :param bytes: of bulk bodies acknowledged.
    """

    read: int = 0
    documents: int = 0
    rejected: int = 0
    bytes: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.read + other.read,
            self.documents + other.documents,
            self.rejected + other.rejected,
            self.bytes + other.bytes,
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Unit, plan, position, counters, phase, attempt: one record, stored whole.

    :param definition: hash of what the copy was made from; another hash means start anew.
    :param upper: event time (exclusive, ISO 8601) up to which the source was read.
    :param attempt: fencing token of the attempt that wrote it.
    """

    unit: str
    definition: str
    phase: Phase
    attempt: int
    upper: str
    cursor: Cursor | None = None
    counters: Counters = field(default_factory=Counters)
    format: int = FORMAT

    def moved(self, cursor: Cursor | None, counters: Counters) -> Checkpoint:
        """The same record further on."""
        return replace(self, cursor=cursor, counters=counters)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as task state and ledger keep it."""
        record = asdict(self)
        record["phase"] = self.phase.value
        return record

    @classmethod
    def from_json(cls, record: object) -> Checkpoint | None:
        """Inverse of :meth:`to_json`; ``None`` for a record of another format or a damaged one."""
        if not isinstance(record, Mapping) or record.get("format") != FORMAT:
            return None
        try:
            cursor = record["cursor"]
            return cls(
                unit=_text(record["unit"]),
                definition=_text(record["definition"]),
                phase=Phase(record["phase"]),
                attempt=_count(record["attempt"]),
                upper=_text(record["upper"]),
                cursor=None
                if cursor is None
                else Cursor(**{name: _text(value) for name, value in cursor.items()}),
                counters=Counters(
                    **{name: _count(value) for name, value in record["counters"].items()}
                ),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"not a count: {value!r}")
    return value


def newest(
    candidates: Iterable[Checkpoint | None], *, unit: str, definition: str
) -> Checkpoint | None:
    """The record to resume from: same unit and definition, highest attempt, most rows read.

    Task state is keyed by position, so a record of another unit can turn up: it is discarded.
    """
    valid = [c for c in candidates if c and c.unit == unit and c.definition == definition]
    return max(
        valid,
        key=lambda c: (c.attempt, c.phase is Phase.COPIED, c.counters.read),
        default=None,
    )
