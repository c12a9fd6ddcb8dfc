"""What a person may narrow a run to: the checked meaning of ``--conf``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.unit import periods

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.core.stream import Stream
    from airflow_provider_logmigrate.core.unit import Period


@dataclass(frozen=True, slots=True)
class RunOptions:
    """One run's choice of streams and days.

    :param first, last: days, both included.
    :param dry_run: stop after the plan.
    :param ripe: rows younger than this are left for a later run.
    """

    streams: tuple[Stream, ...]
    first: date
    last: date
    dry_run: bool
    ripe: datetime

    @classmethod
    def of(cls, migration: Migration, params: Mapping[str, Any], *, now: datetime) -> RunOptions:
        """Combine a migration's own range with a run's parameters.

        :param params: ``streams`` (names, or ``all``), ``from``, ``to`` (days), ``dry_run``.
        :raises ConfigInvalid: unknown stream, not a day, or an empty range.
        """
        first = read_day(params.get("from"), "from") or migration.first
        last = read_day(params.get("to"), "to") or migration.last or now.date()
        if first > last:
            raise ConfigInvalid(
                f"from {first} is after to {last}",
                where="run parameters",
                next_step="give the days in order; both are included",
            )
        return cls(
            streams=_streams(migration, params.get("streams")),
            first=first,
            last=last,
            dry_run=bool(params.get("dry_run", False)),
            ripe=now - migration.settle_lag,
        )

    def periods(self, migration: Migration) -> list[Period]:
        """Whole periods that touch the range, without those that are too young to be read."""
        whole = periods(first=self.first, last=self.last, granularity=migration.period)
        return [period for period in whole if period.start < self.ripe]

    def material(self) -> dict[str, Any]:
        """What the plan's hash covers."""
        return {
            "streams": [stream.name for stream in self.streams],
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
        }


def _streams(migration: Migration, wanted: Any) -> tuple[Stream, ...]:
    if not wanted or wanted == "all" or wanted == ["all"]:
        return migration.streams
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    chosen = []
    for name in names:
        stream = known_stream(migration, name)
        if stream not in chosen:
            chosen.append(stream)
    return tuple(chosen)


def known_stream(migration: Migration, name: str) -> Stream:
    """A stream by one of its names.

    :raises ConfigInvalid: the migration doesn't have it.
    """
    try:
        return migration.stream(name)
    except KeyError:
        known = ", ".join(stream.name for stream in migration.streams)
        raise ConfigInvalid(
            f"unknown stream {name!r}; this migration has {known}",
            where="run parameter streams",
            next_step="name streams of the migration, or leave streams out",
        ) from None


def read_day(value: Any, name: str) -> date | None:
    """A day; ``None`` if none is given.

    :param name: of the run parameter.
    :raises ConfigInvalid: it isn't one.
    """
    if not value:
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ConfigInvalid(
            f"{value!r} isn't a day like 2025-01-31",
            where=f"run parameter {name}",
            next_step="give days as YYYY-MM-DD",
        ) from None
