"""How long documents stay: by stream, tenant and field values; the first rule that fits decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_logmigrate.core.purge import Hold

Where = tuple[tuple[str, tuple[str, ...]], ...]
"""Fields with the values of which a document must have one, all of the fields at once."""


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """One rule.

    :param after: age at which documents go; ``None``: never.
    :param stream, tenant: whose documents; ``None``: all.
    :param where: which of them; empty: all.
    """

    after: timedelta | None
    stream: str | None = None
    tenant: str | None = None
    where: Where = ()

    def concerns(self, stream: str, tenant: str) -> bool:
        """True if it may fit a document of this stream and tenant."""
        return self.stream in (None, stream) and self.tenant in (None, tenant)


@dataclass(frozen=True, slots=True)
class Clause:
    """The documents of a unit that one rule decides about.

    :param unless: of earlier rules, which decide first.
    """

    after: timedelta | None
    where: Where = ()
    unless: tuple[Where, ...] = ()

    def __str__(self) -> str:
        text = "never" if self.after is None else f"after {_shown(self.after)}"
        if not self.where:
            return f"{text}, where no other rule fits" if self.unless else text
        fields = " and ".join(f"{name} is {' or '.join(values)}" for name, values in self.where)
        return f"{text}, where {fields}"


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """What may be deleted from the target, and how much at once.

    :param default: age of what no rule fits; ``None``: it stays.
    :param settle_lag: a period is open until this long after its end.
    :param max_indices, max_documents: of one plan.
    :param allow_last_copy: also documents whose rows are no longer in the source.
    :param allow_managed: also indices that a lifecycle policy of the engine manages.
    """

    default: timedelta | None = None
    rules: tuple[RetentionRule, ...] = ()
    holds: tuple[Hold, ...] = ()
    settle_lag: timedelta = timedelta(0)
    max_indices: int = 20
    max_documents: int = 10_000_000
    allow_last_copy: bool = False
    allow_managed: bool = False

    def clauses(self, stream: str, tenant: str) -> tuple[Clause, ...]:
        """A unit's documents, each in exactly one clause."""
        found: list[Clause] = []
        earlier: list[Where] = []
        for rule in (*self.rules, RetentionRule(self.default)):
            if not rule.concerns(stream, tenant):
                continue
            found.append(Clause(rule.after, rule.where, tuple(earlier)))
            if not rule.where:
                break
            earlier.append(rule.where)
        return tuple(found)

    def reaches(self, stream: str, tenant: str, start: datetime, *, as_of: datetime) -> bool:
        """True if a document of a period that begins at ``start`` may be too old."""
        ages = [clause.after for clause in self.clauses(stream, tenant)]
        return any(age is not None and start < as_of - age for age in ages)


def _shown(age: timedelta) -> str:
    return f"{age / timedelta(days=1):g} days"
