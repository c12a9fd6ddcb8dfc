"""A unit's index: created or adopted for a load, and given back its serving settings.

What the index should be like when it serves is stored in its own ``_meta``, so any attempt, on any
machine, can restore it after any kind of crash. ``_meta`` also says whose index it is: one that
lacks it, or belongs to another unit, is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from airflow_provider_logmigrate.core.errors import IndexConflict, TargetRefused, TargetUnavailable
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.stores.search.client import (
    Engine,
    Response,
    SearchClient,
    concrete,
    path,
)
from airflow_provider_logmigrate.stores.search.existing import (
    EXACTLY_ONE,
    META,
    IndexState,
    IndexVersion,
    name_is_alias,
    read,
    read_meta,
    versions,
)
from airflow_provider_logmigrate.stores.search.faults import reason_of

__all__ = [
    "IndexState",
    "IndexVersion",
    "check_ours",
    "finish",
    "keep_age",
    "prepare",
    "put_settings",
    "read",
    "read_meta",
    "refresh",
    "versions",
]

LOADING = {"refresh_interval": "-1", "number_of_replicas": 0}
"""Settings during a load: nothing is searchable and nothing is copied until it is whole."""

_ORIGINATION = "index.lifecycle.origination_date"


def prepare(
    client: SearchClient, plan: UnitPlan, *, facts: Mapping[str, Any] | None = None
) -> bool:
    """Create the unit's index for a load, or adopt it if it is ours. Idempotent.

    An adopted index that an alias points to already serves readers: its settings stay.

    :param facts: more for ``_meta``, such as migration and plan hash.
    :return: True if it was created now.
    :raises IndexConflict: the name is taken by an alias, by somebody else's index, or by one that
        was made from another definition.
    """
    state = read(client, plan.index)
    if state is None:
        if _create(client, plan, facts or {}):
            return True
        state = read(client, plan.index)  # another attempt was faster
        if state is None:
            raise TargetUnavailable(
                "the index was there and is gone again", where=_place(client, plan.index)
            )
    check_ours(client, plan, state)
    if not state.aliases and not _has(state, LOADING):
        put_settings(client, plan.index, LOADING)
    return False


def finish(client: SearchClient, plan: UnitPlan) -> bool:
    """Give the index its serving settings and make every document visible. Idempotent.

    :return: False if there is no such index.
    :raises IndexConflict: the index isn't the unit's: it was deleted, and writers that are allowed
        to create indices made another one of the same name.
    """
    state = read(client, plan.index)
    if state is None:
        return False
    meta = check_ours(client, plan, state)
    if not _has(state, meta["serving"]):
        put_settings(client, plan.index, meta["serving"])
    refresh(client, plan.index)
    return True


def keep_age(client: SearchClient, plan: UnitPlan, newest: datetime) -> None:
    """Store the data's real age, which retention goes by; an index's own age is that of the copy.

    It always goes into ``_meta``; Elasticsearch's lifecycle is told too where it exists.

    :param newest: the youngest document's event time.
    """
    state = read(client, plan.index)
    if state is None:
        return
    meta = check_ours(client, plan, state)
    text = newest.astimezone(timezone.utc).isoformat()
    if meta.get("max_event_time") == text:
        return
    ours = {**meta, "max_event_time": text}
    client.request(
        "PUT",
        path(plan.index, "_mapping"),
        params=EXACTLY_ONE,
        body={"_meta": {**state.other_meta, META: ours}},
        where=plan.index,
    )
    if client.engine is Engine.ELASTICSEARCH:
        # 400 where lifecycles don't exist (serverless, open builds): the age in _meta has to do.
        client.request(
            "PUT",
            path(plan.index, "_settings"),
            params=EXACTLY_ONE,
            body={_ORIGINATION: int(newest.timestamp() * 1000)},
            expected=(400,),
            where=plan.index,
        )


def put_settings(client: SearchClient, index: str, settings: Mapping[str, Any]) -> None:
    """Change settings of exactly one index."""
    _acknowledged(
        client,
        index,
        client.request(
            "PUT",
            path(concrete(index), "_settings"),
            params=EXACTLY_ONE,
            body={"index": dict(settings)},
            where=index,
        ),
    )


def refresh(client: SearchClient, index: str) -> None:
    """Make every acknowledged document searchable.

    :raises TargetUnavailable: a shard couldn't.
    """
    response = client.request(
        "POST", path(concrete(index), "_refresh"), params=EXACTLY_ONE, where=index
    )
    failed = response.data["_shards"]["failed"]
    if failed:
        raise TargetUnavailable(
            f"{failed} shards couldn't be refreshed", where=_place(client, index), failed=failed
        )


def check_ours(client: SearchClient, plan: UnitPlan, state: IndexState) -> Mapping[str, Any]:
    """Our ``_meta`` of the unit's index. :raises IndexConflict: it isn't this unit's."""
    meta = state.meta
    if meta is None or meta.get("unit") != plan.key or "serving" not in meta:
        owner = f"belongs to unit {meta.get('unit')}" if meta else "wasn't made by this provider"
        raise IndexConflict(
            f"an index of the wanted name exists and {owner}", where=_place(client, plan.index)
        )
    if meta.get("definition") != plan.definition:
        raise IndexConflict(
            "the unit's index was made from another definition of the stream",
            where=_place(client, plan.index),
            next_step="run the DAG again: its dry_run task plans the next version of the index",
        )
    return meta


def _create(client: SearchClient, plan: UnitPlan, facts: Mapping[str, Any]) -> bool:
    body = plan.body
    serving = dict(body["settings"]["index"])
    meta = {
        **facts,
        "unit": plan.key,
        "definition": plan.definition,
        "serving": {key: serving[key] for key in LOADING},
    }
    response = client.request(
        "PUT",
        path(concrete(plan.index)),
        body={
            "settings": {"index": serving | LOADING},
            "mappings": {**body["mappings"], "_meta": {META: meta}},
        },
        expected=(400,),
        where=plan.index,
    )
    if response.status != 400:
        _acknowledged(client, plan.index, response)
        return True
    kind = response.data["error"]["type"]
    reason = reason_of(response.data["error"])
    if kind == "resource_already_exists_exception":
        return False
    if kind == "invalid_index_name_exception" and "alias" in reason:
        raise name_is_alias(client, plan.index, [])
    raise TargetRefused(
        f"the engine refuses to create the index: {reason}",
        where=_place(client, plan.index),
        kind=kind,
    )


def _has(state: IndexState, wanted: Mapping[str, Any]) -> bool:
    return all(state.settings.get(f"index.{key}") == str(wanted[key]) for key in wanted)


def _acknowledged(client: SearchClient, index: str, response: Response) -> None:
    if response.data.get("acknowledged") is not True:
        raise TargetUnavailable(
            "the cluster didn't confirm a change in time", where=_place(client, index)
        )


def _place(client: SearchClient, index: str) -> str:
    return f"{index} at {client.where}"
