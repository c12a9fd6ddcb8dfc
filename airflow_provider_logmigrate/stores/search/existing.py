"""Which indices exist, whose they are and how they are set: reading only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_logmigrate.core.errors import IndexConflict
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path

META = "logmigrate"
"""Our part of an index's ``_meta``."""

EXACTLY_ONE = {"allow_no_indices": "false", "expand_wildcards": "none"}
"""With these a name that turns out to be a pattern, or matches nothing, is an error."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """An existing index.

    :param meta: our part of ``_meta``; ``None`` if there is none.
    :param other_meta: the rest of ``_meta``, kept when ours is written.
    :param settings: flat, all values as text.
    """

    name: str
    meta: Mapping[str, Any] | None
    other_meta: Mapping[str, Any]
    settings: Mapping[str, str]
    aliases: frozenset[str]


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """One ``-v<number>`` index of a unit's alias.

    :param unit: whose it is, by its ``_meta``; ``None`` if it isn't ours.
    """

    number: int
    index: str
    unit: str | None
    definition: str | None


def read(client: SearchClient, name: str) -> IndexState | None:
    """The index called ``name``, ``None`` if nothing has that name.

    :raises IndexConflict: the name is an alias.
    """
    response = client.request(
        "GET",
        path(concrete(name)),
        params={"flat_settings": "true", **EXACTLY_ONE},
        expected=(404,),
        where=name,
    )
    if response.status == 404:
        return None
    if set(response.data) != {name}:
        raise name_is_alias(client, name, sorted(response.data))
    return _state(name, response.data[name])


def read_meta(client: SearchClient, name: str) -> Mapping[str, Any] | None:
    """What the index says about itself; ``None`` if it isn't there or isn't ours."""
    state = read(client, name)
    return state.meta if state else None


def versions(client: SearchClient, alias: str) -> list[IndexVersion]:
    """Which versions of a unit's index exist, oldest first.

    :param alias: the unit's alias, ``dify-workflow-runs-<tenant>-2025.01``.
    """
    response = client.request(
        "GET",
        path(f"{concrete(alias)}-v*"),
        params={
            "allow_no_indices": "true",
            "expand_wildcards": "open,closed",
            "filter_path": f"*.mappings._meta.{META},*.settings.index.uuid",
        },
        where=alias,
    )
    name = re.compile(re.escape(alias) + r"-v([1-9]\d*)")
    found = []
    for index, record in (response.data or {}).items():
        match = name.fullmatch(index)
        if match:
            meta = record.get("mappings", {}).get("_meta", {}).get(META, {})
            found.append(
                IndexVersion(int(match[1]), index, meta.get("unit"), meta.get("definition"))
            )
    return sorted(found, key=lambda version: version.number)


def name_is_alias(client: SearchClient, name: str, indices: list[str]) -> IndexConflict:
    """The error for an index name that an alias has."""
    to = f" of {', '.join(indices)}" if indices else ""
    return IndexConflict(
        f"the name wanted for an index is an alias{to}", where=f"{name} at {client.where}"
    )


def _state(name: str, record: Mapping[str, Any]) -> IndexState:
    meta = dict(record["mappings"].get("_meta", {}))
    ours = meta.pop(META, None)
    return IndexState(
        name=name,
        meta=ours if isinstance(ours, Mapping) else None,
        other_meta=meta,
        settings={str(k): str(v) for k, v in record["settings"].items()},
        aliases=frozenset(record.get("aliases", {})),
    )
