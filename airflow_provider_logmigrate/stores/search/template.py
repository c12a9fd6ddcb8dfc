"""The composable index template of a stream: for indices that others create, by writing.

Our own indices are created with their whole mapping; the template makes a month that is prepared
by a writer come out the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_logmigrate.core.errors import TargetRefused, TemplateConflict
from airflow_provider_logmigrate.stores.search.client import SearchClient, path
from airflow_provider_logmigrate.stores.search.faults import reason_of

PRIORITY = 200
"""Above the 100 of the engines' built-in templates."""

_OTHERS = re.compile(r"existing templates \[([^\]]*)\]")
_OWNER = "airflow-provider-logmigrate"


def template_body(
    patterns: Sequence[str], body: Mapping[str, Any], *, priority: int = PRIORITY
) -> dict[str, Any]:
    """The template as the engine wants it: mapping and settings only under ``template``.

    :param patterns: index names it is for.
    :param body: ``{"mappings": …, "settings": …}``.
    """
    return {
        "index_patterns": list(patterns),
        "priority": priority,
        "template": {"settings": body["settings"], "mappings": body["mappings"]},
        "_meta": {"managed_by": _OWNER},
    }


def check(
    client: SearchClient,
    name: str,
    patterns: Sequence[str],
    body: Mapping[str, Any],
    *,
    priority: int = PRIORITY,
) -> None:
    """Find out if :func:`put` would succeed; nothing is written.

    :raises TemplateConflict: a template of the same priority matches the same names, or the name
        belongs to somebody else's template.
    :raises TargetRefused: the engine refuses mapping or settings.
    """
    _check_owner(client, name)
    response = client.request(
        "POST",
        path("_index_template", "_simulate"),
        body=template_body(patterns, body, priority=priority),
        expected=(400,),
        where=name,
    )
    if response.status == 400:
        _judge(client, name, response.data)


def put(
    client: SearchClient,
    name: str,
    patterns: Sequence[str],
    body: Mapping[str, Any],
    *,
    priority: int = PRIORITY,
) -> None:
    """Create or replace the template. Idempotent.

    :raises TemplateConflict: see :func:`check`.
    """
    _check_owner(client, name)
    response = client.request(
        "PUT",
        path("_index_template", name),
        body=template_body(patterns, body, priority=priority),
        expected=(400,),
        where=name,
    )
    if response.status == 400:
        _judge(client, name, response.data)
        raise _refused(client, name, response.data)


def _check_owner(client: SearchClient, name: str) -> None:
    response = client.request("GET", path("_index_template", name), expected=(404,), where=name)
    if response.status == 404:
        return
    for found in response.data["index_templates"]:
        meta = found["index_template"].get("_meta", {})
        if found["name"] == name and meta.get("managed_by") != _OWNER:
            raise TemplateConflict(
                f"an index template called {name} exists and isn't ours", where=client.where
            )


def _judge(client: SearchClient, name: str, data: Any) -> None:
    """Raise unless the only template in the way is the one that would be replaced."""
    match = _OTHERS.search(str(data))
    if match is None:
        raise _refused(client, name, data)
    others = {other.strip() for other in match.group(1).split(",")} - {name, ""}
    if others:
        raise TemplateConflict(
            f"index template {', '.join(sorted(others))} has the priority of {name} and matches "
            "the same index names",
            where=client.where,
            templates=sorted(others),
        )


def _refused(client: SearchClient, name: str, data: Any) -> TargetRefused:
    return TargetRefused(
        f"the engine refuses the index template {name}: {_reason(data)}", where=client.where
    )


def _reason(data: Any) -> str:
    return reason_of(data.get("error", data) if isinstance(data, Mapping) else data)
