"""A unit's index: created or adopted for a load, and given back its serving settings.

What the index should be like when it serves is stored in its own ``_meta``, so any attempt, on any
machine, can restore it after any kind of crash. ``_meta`` also says whose index it is: one that
lacks it, or belongs to another unit, is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from airflow_provider_logmigrate.core.errors import IndexConflict, TargetUnavailable
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.together import both
from airflow_provider_logmigrate.stores.search import age
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path
from airflow_provider_logmigrate.stores.search.create import (
    LOADING,
    create,
    serves_from_the_start,
)
from airflow_provider_logmigrate.stores.search.existing import (
    EXACTLY_ONE,
    META,
    IndexState,
    IndexVersion,
    acknowledged,
    check_owner,
    owner_of,
    read,
    read_meta,
    versions,
)

__all__ = [
    "IndexState",
    "IndexVersion",
    "check_ours",
    "finish",
    "prepare",
    "put_settings",
    "read",
    "read_meta",
    "refresh",
    "require_ours",
    "versions",
]

AGE_ROUNDS = 20
"""How often the age of a shared index is written before others are said to interfere."""


def prepare(client: SearchClient, plan: UnitPlan, *, facts: Mapping[str, Any]) -> bool:
    """Create the unit's index for a load, or adopt it if it is ours. Idempotent.

    An adopted index that an alias points to already serves readers: its settings stay.

    :param facts: more for ``_meta``: the migration.
    :return: True if it was created now.
    :raises IndexConflict: the name is taken by an alias, by somebody else's index, or by one that
        was made from another definition.
    """
    state = read(client, plan.index)
    if state is None:
        if create(client, plan, facts=facts):
            return True
        state = read(client, plan.index)  # another attempt, or another tenant's, was faster
        if state is None:
            raise TargetUnavailable(
                "the index was there and is gone again", where=_place(client, plan.index)
            )
    check_ours(client, plan, state, facts=facts)
    if not (serves_from_the_start(plan) or state.aliases or _has(state, LOADING)):
        put_settings(client, plan.index, LOADING)
    return False


def finish(
    client: SearchClient,
    plan: UnitPlan,
    *,
    facts: Mapping[str, Any],
    newest: Callable[[], datetime | None],
) -> bool:
    """Make every document visible, keep the data's age, restore serving settings. Idempotent.

    The age is what retention goes by; an index's own age is that of the copy. A shared index has
    that of the youngest document of all tenants. Engines have no compare-and-set for ``_meta``, so
    there the last writer looks again: whoever makes a younger document visible does so before it
    writes, hence the age ends right whatever the order, unless all who write are killed; then the
    next one to finish puts it right.

    :param newest: asks for the index's youngest event time.
    :return: False if there is no such index.
    :raises IndexConflict: the index isn't the unit's: it was deleted, and writers that are allowed
        to create indices made another one of the same name.
    :raises TargetUnavailable: others kept changing the age of a shared index.
    """
    for written in range(AGE_ROUNDS):
        state = read(client, plan.index)
        if state is None:
            return False
        meta = check_ours(client, plan, state, facts=facts)
        if not written:
            both(
                partial(refresh, client, plan.index),
                partial(_serve, client, plan, state, meta["serving"]),
            )
        youngest = newest()
        stored = meta.get("max_event_time")
        if plan.share and stored and youngest and youngest < datetime.fromisoformat(stored):
            youngest = None  # an age never goes back while others finish
        if youngest is not None:
            _keep_age(client, plan, state, meta, youngest)
        if plan.share is None or youngest is None or stored == age.text(youngest):
            return True
    raise TargetUnavailable(
        "the age of the index's data couldn't be kept: others keep changing it",
        where=_place(client, plan.index),
    )


def _serve(
    client: SearchClient, plan: UnitPlan, state: IndexState, serving: Mapping[str, Any]
) -> None:
    if plan.share is None and not _has(state, serving):
        put_settings(client, plan.index, serving)


def _keep_age(
    client: SearchClient,
    plan: UnitPlan,
    state: IndexState,
    meta: Mapping[str, Any],
    youngest: datetime,
) -> None:
    lifecycle = age.lifecycle(client, youngest)
    if not _has(state, lifecycle):
        # Refused where lifecycles don't exist (serverless): the age in _meta has to do.
        put_settings(client, plan.index, lifecycle, may_refuse=True)
    if meta.get("max_event_time") != age.text(youngest):
        ours = {**meta, "max_event_time": age.text(youngest)}
        client.request(
            "PUT",
            path(plan.index, "_mapping"),
            params=EXACTLY_ONE,
            body={"_meta": {**state.other_meta, META: ours}},
            where=plan.index,
        )


def put_settings(
    client: SearchClient, index: str, settings: Mapping[str, Any], *, may_refuse: bool = False
) -> bool:
    """Change settings of exactly one index.

    :param may_refuse: return False instead of raising if the engine doesn't know one of them.
    """
    response = client.request(
        "PUT",
        path(concrete(index), "_settings"),
        params=EXACTLY_ONE,
        body={"index": dict(settings)},
        expected=(400,) if may_refuse else (),
        where=index,
    )
    if response.status == 400:
        return False
    acknowledged(response, where=_place(client, index))
    return True


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


def require_ours(client: SearchClient, plan: UnitPlan, *, facts: Mapping[str, Any]) -> None:
    """:raises IndexConflict: the unit's index isn't the unit's, or not there at all."""
    state = read(client, plan.index)
    if state is None:
        raise IndexConflict("the unit's index is gone", where=_place(client, plan.index))
    check_ours(client, plan, state, facts=facts)


def check_ours(
    client: SearchClient, plan: UnitPlan, state: IndexState, *, facts: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Our ``_meta`` of the unit's index. :raises IndexConflict: it isn't this unit's."""
    meta = state.meta or {}
    check_owner(
        plan.index,
        says=owner_of(meta) if "serving" in meta else None,
        made_by=meta.get("migration"),
        owner=plan.owner,
        migration=facts.get("migration"),
        where=client.where,
    )
    if meta.get("definition") != plan.definition:
        raise IndexConflict(
            "the unit's index was made from another definition of the stream",
            where=_place(client, plan.index),
            next_step="run the DAG again: its dry_run task plans the next version of the index",
        )
    return meta


def _has(state: IndexState, wanted: Mapping[str, Any]) -> bool:
    return all(state.settings.get(f"index.{key}") == str(wanted[key]) for key in wanted)


def _place(client: SearchClient, index: str) -> str:
    return f"{index} at {client.where}"
