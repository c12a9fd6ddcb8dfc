"""What is looked at before it is decided what leaves the target: indices, units, documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.unit import Period, Unit


@dataclass(frozen=True, slots=True)
class IndexLook:
    """What an index is, before its documents are asked about.

    :param ours: its ``_meta`` says that this migration made it for these units.
    :param write_aliases: aliases that name it as their write index.
    :param managed_by: the engine's lifecycle policy that manages it.
    :param strange_fields: fields of rules that can't be compared exactly in it, with the reason.
    """

    name: str
    uuid: str
    period: Period
    ours: bool
    aliases: tuple[str, ...] = ()
    write_aliases: tuple[str, ...] = ()
    data_stream: str | None = None
    managed_by: str | None = None
    closed: bool = False
    strange_fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClauseFacts:
    """The documents of one clause.

    :param newest: event time of the youngest; ``None``: none has one.
    :param timeless: documents without a usable event time.
    """

    documents: int
    newest: datetime | None = None
    timeless: int = 0


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A unit's documents in an index.

    :param share: its part of a shared index.
    :param clauses: as :meth:`RetentionRules.clauses` lists them.
    :param copied: its copy is finished.
    :param purging: a purge of its rows was interrupted.
    :param only_here: documents without a row in the source (any more); ``None``: the source can't
        be asked.
    """

    unit: Unit
    share: Share | None
    clauses: tuple[ClauseFacts, ...]
    copied: bool = True
    purging: bool = False
    only_here: int | None = 0


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An index with its documents.

    :param parts: of every unit that the ledger knows in it.
    """

    look: IndexLook
    documents: int = 0
    parts: tuple[PartFacts, ...] = ()
