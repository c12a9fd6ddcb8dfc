"""A dead letter, what became of it, and how some of them are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import ColumnElement, func

from airflow_provider_logmigrate.core.naming import encode_tenant
from airflow_provider_logmigrate.ledger.schema import tables
from airflow_provider_logmigrate.ledger.text import storable


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
    :param tries: in how many attempts it was refused.
    :param who: kept it last, or waived it; ``why``: the reason for that.
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
    tries: int
    who: str
    why: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters; what isn't given is no limit.

    :param reason: a part of the engine's name for the error or of its reason.
    """

    tenant: str | None = None
    streams: Sequence[str] = ()
    units: Sequence[str] = ()
    reason: str | None = None

    def conditions(self, migration: str) -> list[ColumnElement[bool]]:
        """As SQL."""
        table = tables.dead_letter
        found = [table.c.migration == migration]
        if self.tenant is not None:
            found.append(func.split_part(table.c.unit, "/", 2) == encode_tenant(self.tenant))
        if self.streams:
            found.append(func.split_part(table.c.unit, "/", 1).in_(list(self.streams)))
        if self.units:
            found.append(table.c.unit.in_([storable(unit) for unit in self.units]))
        if self.reason:
            told = storable(self.reason)
            found.append(
                table.c.kind.contains(told, autoescape=True)
                | table.c.reason.contains(told, autoescape=True)
            )
        return found


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Keys of a unit's dead letters that didn't get through, by what was decided about them."""

    rejected: frozenset[str] = frozenset()
    waived: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        """Both."""
        return self.rejected | self.waived
