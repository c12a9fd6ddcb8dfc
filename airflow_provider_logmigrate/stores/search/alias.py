"""Aliases: where they point now, and changing them in one atomic call that is read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_logmigrate.core.cutover import AliasAction, Aliases
from airflow_provider_logmigrate.core.errors import IndexConflict, TargetUnavailable
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path
from airflow_provider_logmigrate.stores.search.existing import batches

_HIDDEN = "is_hidden"
"""The one option whose explicit default (false) says nothing."""


def current_aliases(client: SearchClient, names: Iterable[str]) -> tuple[Aliases, frozenset[str]]:
    """Where the names point, and which of them are concrete indices instead.

    Names that are neither are left out of both.

    :raises IndexConflict: one is an alias with a filter, routing or write index that isn't a
        tenant's share, which a swap would lose.
    """
    pointing: dict[str, dict[str, Share | None]] = {}
    indices: set[str] = set()
    for batch in batches(sorted({concrete(name) for name in names})):
        wanted = set(batch)
        for index, alias, options in _aliases(client, batch):
            if alias not in wanted:
                continue
            try:
                share = _share(options)
            except ValueError as error:
                raise IndexConflict(
                    f"the alias carries {error}, which a swap would lose",
                    where=f"{alias} -> {index} at {client.where}",
                    next_step="give readers a plain alias of another name, or remove these options",
                ) from None
            pointing.setdefault(alias, {})[index] = share
        indices |= wanted & _concrete_indices(client, batch)
    return pointing, frozenset(indices)


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
        # Not repeated: if the refused call was carried out after all, the second one would be
        # refused for an alias that is gone, which reads as somebody else's change.
        data = client.request(
            "POST",
            path("_aliases"),
            body={"actions": [_action(a) for a in actions]},
            retry=False,
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
    elif action.share is not None:
        routing = action.share.routing
        names |= {"filter": action.share.filter}
        names |= {"index_routing": routing, "search_routing": routing}
    return {action.kind: names}


def _share(options: Mapping[str, Any]) -> Share | None:
    """What an alias shows by its options. :raises ValueError: they are something else; names them.

    Exactly what :func:`_action` writes is read, so whatever is restored is whole.
    """
    special = sorted(k for k, v in options.items() if v or k != _HIDDEN)
    if not special:
        return None
    routing = options.get("index_routing")
    term = options.get("filter", {}).get("term", {})
    if len(term) == 1 and isinstance(routing, str):
        ((field, value),) = term.items()
        share = Share(field, str(value), routing)
        written = {"filter": share.filter, "index_routing": routing, "search_routing": routing}
        if {k: options[k] for k in special} == written:
            return share
    raise ValueError(", ".join(special))


def _held(
    client: SearchClient, actions: Sequence[AliasAction]
) -> Iterator[tuple[AliasAction, bool]]:
    """For the last action about each alias of each index: does it hold?"""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for batch in batches(sorted({action.alias for action in actions})):
        found |= {(index, alias): options for index, alias, options in _aliases(client, batch)}
    for (index, alias), action in {(a.index, a.alias): a for a in actions}.items():
        if action.kind == "remove":
            yield action, (index, alias) not in found
        else:
            yield action, (index, alias) in found and _shows(found[index, alias], action.share)


def _shows(options: Mapping[str, Any], share: Share | None) -> bool:
    try:
        return _share(options) == share
    except ValueError:
        return False


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
