"""Which streams a migration has, and what its configuration changes about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_logmigrate.config.declared import declared_stream
from airflow_provider_logmigrate.config.document import Fault
from airflow_provider_logmigrate.config.models import MigrationModel
from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.stream import JsonMode, Stream
from airflow_provider_logmigrate.streams.registry import ALL, aliases, near, pack, packs, select


@dataclass(frozen=True, slots=True)
class StreamChoice:
    """The streams wanted, in the pack's (or the file's) order, and what is wrong with the choice.

    :param streams: with the JSON modes of ``json_columns``.
    :param aliases: short names of these streams.
    :param strategies: read strategies forced, by stream name.
    """

    streams: tuple[Stream, ...]
    aliases: Mapping[str, str]
    strategies: Mapping[str, ReadStrategy]
    faults: tuple[Fault, ...]


def choose_streams(name: str, model: MigrationModel) -> StreamChoice:
    """Follow a migration's ``pack``, ``streams``, ``json_columns`` and ``strategy``."""
    work = _Work(name, model, aliases(model.pack))
    work.find_available()
    wanted = work.wanted()
    modes = work.json_modes()
    strategies = work.strategies(wanted)
    work.check_slugs(wanted)
    names = {stream.name for stream in wanted}
    return StreamChoice(
        streams=tuple(_with_modes(stream, modes[stream.name]) for stream in wanted),
        aliases={short: full for short, full in work.short.items() if full in names},
        strategies=strategies,
        faults=tuple(work.faults),
    )


@dataclass(slots=True)
class _Work:
    """The steps of one choice.

    :param available: streams of the pack, or the declared ones, by name; empty if that failed,
        which is told, so nothing more is said about names of streams then.
    """

    name: str
    model: MigrationModel
    short: Mapping[str, str]
    available: dict[str, Stream] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def refuse(self, *steps: str | int, why: str) -> None:
        self.faults.append(Fault(("migrations", self.name, *steps), why))

    def find_available(self) -> None:
        self.available = {stream.name: stream for stream in self._packed_or_declared()}

    def _packed_or_declared(self) -> tuple[Stream, ...]:
        declared = self.model.streams
        if self.model.pack is not None:
            if isinstance(declared, dict):
                self.refuse("streams", why="own definitions and a pack exclude each other")
            try:
                return pack(self.model.pack)
            except ConfigInvalid as error:
                self.refuse("pack", why=error.what)
        elif isinstance(declared, dict):
            if ALL in declared:
                self.refuse("streams", ALL, why="the name `all` stands for every stream")
            return tuple(declared_stream(name, model) for name, model in declared.items())
        else:
            known = ", ".join(packs())
            why = f"give a pack ({known}), or define streams of your own under `streams`"
            self.refuse("pack", why=why)
        return ()

    def wanted(self) -> tuple[Stream, ...]:
        available = tuple(self.available.values())
        names = self.model.streams
        if not isinstance(names, list) or not available:
            return available
        seen: set[str] = set()
        good: list[str] = []
        for position, name in enumerate(names):
            full = self.short.get(name, name)
            if full in seen:
                self.refuse("streams", position, why=f"the stream {full!r} stands twice")
            elif full != ALL and full not in self.available:
                self.refuse("streams", position, why=self._no_stream(name))
            else:
                good.append(name)
            seen.add(full)
        return select(available, good, short=self.short)

    def json_modes(self) -> dict[str, dict[str, JsonMode]]:
        """Modes that differ from the streams' own, by stream and column."""
        modes: dict[str, dict[str, JsonMode]] = {name: {} for name in self.available}
        for path, mode in self.model.json_columns.items() if self.available else ():
            named, dot, column = path.partition(".")
            stream = self._find(named)
            if not dot:
                self.refuse("json_columns", path, why="write it as stream.column")
            elif stream is None:
                self.refuse("json_columns", path, why=self._no_stream(named))
            elif column not in stream.json_columns:
                known = near(column, stream.json_columns) or "; it has none"
                why = f"{named} has no JSON column {column!r}{known}"
                self.refuse("json_columns", path, why=why)
            else:
                modes[stream.name][column] = JsonMode(mode)
        return modes

    def strategies(self, wanted: tuple[Stream, ...]) -> dict[str, ReadStrategy]:
        given = self.model.strategy
        if isinstance(given, str):
            orphans = [stream.name for stream in wanted if stream.parent is None]
            if given == "by_parent" and orphans:
                self.refuse("strategy", why=f"{_no_parent(orphans[0])}; force it by stream")
            return {} if given == "auto" else {s.name: ReadStrategy(given) for s in wanted}
        forced: dict[str, ReadStrategy] = {}
        for named, strategy in given.items() if self.available else ():
            stream = self._find(named)
            if stream is None:
                self.refuse("strategy", named, why=self._no_stream(named))
            elif strategy == "by_parent" and stream.parent is None:
                self.refuse("strategy", named, why=_no_parent(stream.name))
            elif strategy != "auto":
                forced[stream.name] = ReadStrategy(strategy)
        return forced

    def check_slugs(self, wanted: tuple[Stream, ...]) -> None:
        """Index names of one stream must not look like names of another with a longer tenant."""
        for first, second in _pairs(wanted):
            shorter, longer = sorted((first, second), key=lambda stream: len(stream.slug))
            if f"{longer.slug}-".startswith(f"{shorter.slug}-"):
                why = f"its slug {longer.slug!r} runs into {shorter.slug!r} of {shorter.name}"
                self.refuse("streams", longer.name, "slug", why=why)

    def _find(self, named: str) -> Stream | None:
        return self.available.get(self.short.get(named, named))

    def _no_stream(self, named: str) -> str:
        return f"there is no stream {named!r}{near(named, [*self.available, *self.short])}"


def _pairs(streams: tuple[Stream, ...]) -> Iterator[tuple[Stream, Stream]]:
    for position, first in enumerate(streams):
        for second in streams[position + 1 :]:
            yield first, second


def _with_modes(stream: Stream, modes: Mapping[str, JsonMode]) -> Stream:
    return replace(stream, json_columns={**stream.json_columns, **modes}) if modes else stream


def _no_parent(name: str) -> str:
    return f"{name} declares no parent with an event time to read it by"
