"""Packs by name, and the short names that people use for their streams."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping, Sequence

from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.stream import Stream

_MODULES: Mapping[str, str] = {"dify": "airflow_provider_logmigrate.streams.dify"}

_ALIASES: Mapping[str, Mapping[str, str]] = {
    "dify": {
        "runs": "workflow_runs",
        "app_logs": "workflow_app_logs",
        "node_executions": "workflow_node_executions",
        "offload": "workflow_node_execution_offload",
    }
}

ALL = "all"
"""Stands for every stream where streams are named."""


def packs() -> tuple[str, ...]:
    """Names of the packs that come with the package."""
    return tuple(sorted(_MODULES))


def pack(name: str) -> tuple[Stream, ...]:
    """The streams of a pack.

    :raises ConfigInvalid: there is no such pack; the message names a near miss.
    """
    if name not in _MODULES:
        raise ConfigInvalid(f"there is no pack {name!r}{near(name, packs())}", where="pack")
    module = importlib.import_module(_MODULES[name])
    streams: tuple[Stream, ...] = module.streams()
    return streams


def aliases(name: str | None) -> Mapping[str, str]:
    """Short name -> stream name, for a pack; ``None`` (own streams) has none."""
    return _ALIASES.get(name or "", {})


def select(
    streams: Sequence[Stream], names: Iterable[str], *, short: Mapping[str, str]
) -> tuple[Stream, ...]:
    """The named ones of ``streams``, in the order of ``streams``.

    :param names: stream names, short names or ``all``; a repetition is harmless.
    :param short: from :func:`aliases`.
    :raises ConfigInvalid: a name fits no stream; all such names are in ``data["unknown"]``.
    """
    by_name = {stream.name: stream for stream in streams}
    wanted: set[str] = set()
    unknown: list[str] = []
    for name in names:
        if name == ALL:
            wanted.update(by_name)
        elif (full := short.get(name, name)) in by_name:
            wanted.add(full)
        else:
            unknown.append(name)
    if unknown:
        usable = (*by_name, *(alias for alias, full in short.items() if full in by_name))
        raise ConfigInvalid(
            "; ".join(f"there is no stream {name!r}{near(name, usable)}" for name in unknown),
            where="streams",
            unknown=unknown,
        )
    return tuple(stream for name, stream in by_name.items() if name in wanted)


def near(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where something is close, else the list of what is known."""
    candidates = sorted(set(known))
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(candidates)}" if candidates else ""
