"""Which indices exist, whose they are and how they are set: reading only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_logmigrate.core.errors import IndexConflict, TargetUnavailable
from airflow_provider_logmigrate.core.layout import Layout
from airflow_provider_logmigrate.stores.search.client import (
    Response,
    SearchClient,
    concrete,
    path,
)

META = "logmigrate"
"""Our part of an index's ``_meta``."""

MAX_PATH = 2000
"""Characters of names in one request path; engines take 4,096 bytes in all."""

_VERSIONED = re.compile(r"(.+)-v([1-9]\d*)")

EXACTLY_ONE = {"allow_no_indices": "false", "expand_wildcards": "none"}
"""With these a name that turns out to be a pattern, or matches nothing, is an error."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """An existing index.

    :param meta: our part of ``_meta``; ``None`` if there is none.
    :param other_meta: the rest of ``_meta``, kept when ours is written.
    :param settings: flat, all values as text.
    :param write_aliases: aliases that name it as their write index.
    :param data_stream: whose backing index it is.
    """

    name: str
    meta: Mapping[str, Any] | None
    other_meta: Mapping[str, Any]
    settings: Mapping[str, str]
    aliases: frozenset[str]
    write_aliases: frozenset[str] = frozenset()
    data_stream: str | None = None


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """One ``-v<number>`` index.

    :param owner: whose it is, see :func:`owner_of`.
    :param migration: which migration made it.
    """

    number: int
    index: str
    owner: str | None
    definition: str | None
    migration: str | None = None


def check_owner(
    index: str,
    *,
    says: str | None,
    made_by: str | None,
    owner: str,
    migration: str | None,
    where: str,
) -> None:
    """See that an existing index is the owner's.

    A shared index is one migration's: another one reads another table, whose keys may be the same.

    :param says: whose the index says it is, see :func:`owner_of`.
    :param made_by: which migration it says made it.
    :param owner: see :attr:`UnitPlan.owner`.
    :raises IndexConflict: it isn't.
    """
    if says != owner:
        whose = f"belongs to {says}" if says else "wasn't made by this provider"
        raise IndexConflict(
            f"an index of the wanted name exists and {whose}", where=f"{index} at {where}"
        )
    if is_shared(owner) and made_by != migration:
        raise IndexConflict(
            f"the shared index belongs to the migration {made_by}, not to {migration}",
            where=f"{index} at {where}",
        )


def is_shared(owner: str) -> bool:
    """True for the owner of an index that holds all tenants."""
    return "/*/" in owner


def owner_of(meta: Mapping[str, Any] | None) -> str | None:
    """Whose index it is by our part of its ``_meta``, as :attr:`UnitPlan.owner` says it.

    ``None``: it isn't ours.
    """
    if not meta:
        return None
    if meta.get("layout") == Layout.SHARED.value:
        return f"{meta.get('stream')}/*/{meta.get('period')}"
    return meta.get("unit")


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


def versions(client: SearchClient, names: Iterable[str]) -> dict[str, list[IndexVersion]]:
    """Which versions of indices exist, oldest first; one request for some dozens of names.

    :param names: without the version, such as ``dify-workflow-runs-<tenant>-2025.01``.
    :returns: each of the names; an empty list where there is no version.
    """
    found: dict[str, list[IndexVersion]] = {name: [] for name in names}
    for batch in batches([f"{concrete(name)}-v*" for name in sorted(found)]):
        asked = {pattern.removesuffix("-v*") for pattern in batch}
        response = client.request(
            "GET",
            path(",".join(batch)),
            params={
                "allow_no_indices": "true",
                "expand_wildcards": "open,closed",
                "filter_path": f"*.mappings._meta.{META},*.settings.index.uuid",
            },
        )
        for index, record in (response.data or {}).items():
            match = _VERSIONED.fullmatch(index)
            if match and match[1] in asked:  # an alias with a matching name brings its index
                meta = record.get("mappings", {}).get("_meta", {}).get(META) or {}
                found[match[1]].append(
                    IndexVersion(
                        number=int(match[2]),
                        index=index,
                        owner=owner_of(meta),
                        definition=meta.get("definition"),
                        migration=meta.get("migration"),
                    )
                )
    return {name: sorted(held, key=lambda v: v.number) for name, held in found.items()}


def batches(names: Sequence[str]) -> Iterator[list[str]]:
    """Names in groups that fit into a request's path each."""
    batch: list[str] = []
    size = 0
    for name in names:
        cost = len(path(name)) + 3
        if batch and size + cost > MAX_PATH:
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += cost
    if batch:
        yield batch


def acknowledged(response: Response, *, where: str) -> None:
    """:raises TargetUnavailable: the cluster's nodes didn't all confirm a change in time."""
    if response.data.get("acknowledged") is not True:
        raise TargetUnavailable("the cluster didn't confirm a change in time", where=where)


def name_is_alias(client: SearchClient, name: str, indices: list[str]) -> IndexConflict:
    """The error for an index name that an alias has."""
    to = f" of {', '.join(indices)}" if indices else ""
    return IndexConflict(
        f"the name wanted for an index is an alias{to}", where=f"{name} at {client.where}"
    )


def _state(name: str, record: Mapping[str, Any]) -> IndexState:
    meta = dict(record["mappings"].get("_meta", {}))
    ours = meta.pop(META, None)
    aliases = record.get("aliases", {})
    return IndexState(
        name=name,
        meta=ours if isinstance(ours, Mapping) else None,
        other_meta=meta,
        settings={str(k): str(v) for k, v in record["settings"].items()},
        aliases=frozenset(aliases),
        write_aliases=frozenset(a for a, o in aliases.items() if o.get("is_write_index")),
        data_stream=record.get("data_stream"),
    )
