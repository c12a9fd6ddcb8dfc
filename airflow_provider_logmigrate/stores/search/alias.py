"""Aliases: where they point now, and changing them in one atomic call that is read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_logmigrate.core.cutover import AliasAction, Aliases
from airflow_provider_logmigrate.core.errors import IndexConflict, TargetUnavailable
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path

MAX_PATH = 2000
"""Characters of names in one request path; engines take 4,096 bytes in all."""

_HIDDEN = "is_hidden"
"""The one option whose explicit default (false) says nothing."""


def current_aliases(client: SearchClient, names: Iterable[str]) -> tuple[Aliases, frozenset[str]]:
    """Where the names point, and which of them are concrete indices instead.

    Names that are neither are left out of both.

    :raises IndexConflict: one is an alias with a filter, routing or write index, which a swap
        would lose.
    """
    pointing: dict[str, set[str]] = {}
    indices: set[str] = set()
    for batch in _batches(sorted({concrete(name) for name in names})):
        wanted = set(batch)
        for index, alias, options in _aliases(client, batch):
            if alias not in wanted:
                continue
            special = sorted(k for k, v in options.items() if v or k != _HIDDEN)
            if special:
                raise IndexConflict(
                    f"the alias carries {', '.join(special)}, which a swap would lose",
                    where=f"{alias} -> {index} at {client.where}",
                    next_step="give readers a plain alias of another name, or remove these options",
                )
            pointing.setdefault(alias, set()).add(index)
        indices |= wanted & _concrete_indices(client, batch)
    return {alias: frozenset(held) for alias, held in pointing.items()}, frozenset(indices)


def apply(client: SearchClient, actions: Sequence[AliasAction]) -> None:
    """Run all actions in one atomic call and read back that they hold.

    An answer that was lost isn't taken for a failure: what counts is what is read back.

    :raises TargetRefused: the engine refuses; nothing was changed. An alias that should be removed
        and isn't there is such a reason: somebody changed it since the swap was planned.
    :raises TargetUnavailable: not carried out, or not known.
    """
    if not actions:
        return
    lost: TargetUnavailable | None = None
    try:
        data = client.request(
            "POST", path("_aliases"), body={"actions": [_action(a) for a in actions]}
        ).data
        confirmed = data.get("acknowledged") is True and not data.get("errors")
    except TargetUnavailable as error:
        lost, confirmed = error, False
    differing = [a for a, holds in _held(client, actions) if not holds]
    if differing:
        shown = ", ".join(f"{a.kind} {a.alias} -> {a.index}" for a in differing[:3])
        raise TargetUnavailable(
            f"the cluster {'confirmed' if confirmed else 'did not confirm'} a swap of aliases, "
            f"but it doesn't hold: {shown}",
            where=client.where,
        ) from lost


def _action(action: AliasAction) -> dict[str, Any]:
    names: dict[str, Any] = {"index": concrete(action.index), "alias": concrete(action.alias)}
    if action.kind == "remove":
        names["must_exist"] = True
    return {action.kind: names}


def _held(
    client: SearchClient, actions: Sequence[AliasAction]
) -> Iterator[tuple[AliasAction, bool]]:
    found: set[tuple[str, str]] = set()
    for batch in _batches(sorted({action.alias for action in actions})):
        found |= {(index, alias) for index, alias, _ in _aliases(client, batch)}
    for action in actions:
        yield action, ((action.index, action.alias) in found) == (action.kind == "add")


def _aliases(
    client: SearchClient, names: Sequence[str]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    # 404 names those that are missing, beside those that are there.
    data = client.request("GET", path("_alias", ",".join(names)), expected=(404,)).data
    for index, record in data.items():
        if isinstance(record, Mapping) and isinstance(record.get("aliases"), Mapping):
            for alias, options in record["aliases"].items():
                yield index, alias, options


def _concrete_indices(client: SearchClient, names: Sequence[str]) -> set[str]:
    data = client.request(
        "GET",
        path(",".join(names), "_settings"),
        params={
            "ignore_unavailable": "true",
            "allow_no_indices": "true",
            "expand_wildcards": "none",
            "filter_path": "*.settings.index.uuid",
        },
    ).data
    return set(data or {})


def _batches(names: Sequence[str]) -> Iterator[list[str]]:
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
