"""A new index for a unit, or for the units of all tenants.

Two kinds of index serve from the beginning, with the settings they keep. A shared one, because at
any time some tenant may be reading it while others are being loaded. And a small one, because each
change of settings costs a new cluster state, more than what its load would save.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_logmigrate.core.errors import TargetRefused
from airflow_provider_logmigrate.core.layout import Layout
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.stores.search import age
from airflow_provider_logmigrate.stores.search.client import (
    Response,
    SearchClient,
    concrete,
    path,
)
from airflow_provider_logmigrate.stores.search.existing import META, acknowledged, name_is_alias
from airflow_provider_logmigrate.stores.search.faults import reason_of

LOADING = {"refresh_interval": "-1", "number_of_replicas": 0}
"""Settings during a load: nothing is searchable and nothing is copied until it is whole."""

SMALL_ROWS, SMALL_BYTES = 20_000, 64 << 20
"""Up to here a unit is copied in a few seconds."""


def serves_from_the_start(plan: UnitPlan) -> bool:
    """True if the unit is loaded into an index with serving settings."""
    if plan.share is not None:
        return True
    size = plan.estimate
    return size is not None and size.rows <= SMALL_ROWS and size.bytes <= SMALL_BYTES


def create(client: SearchClient, plan: UnitPlan, *, facts: Mapping[str, Any]) -> bool:
    """Create the unit's index.

    :param facts: more for ``_meta``: the migration.
    :return: False if another attempt, or another tenant's, was faster.
    :raises IndexConflict: the name is an alias.
    :raises TargetRefused: the engine refuses mapping or settings.
    """
    serving = dict(plan.body["settings"]["index"])
    expected = _expected_age(plan)
    settings = serving if serves_from_the_start(plan) else serving | LOADING
    # Routing is said explicitly: the stream's template may be that of the other layout.
    mappings = {
        "_routing": {"required": plan.share is not None},
        **plan.body["mappings"],
        "_meta": {META: _meta(plan, facts, serving, expected)},
    }
    lifecycle = age.lifecycle(client, expected)
    response = _put(client, plan, settings | lifecycle, mappings)
    if response.status == 400 and lifecycle and age.ORIGINATION in _reason(response):
        response = _put(client, plan, settings, mappings)  # an engine without lifecycles
    if response.status != 400:
        acknowledged(response, where=f"{plan.index} at {client.where}")
        return True
    kind, reason = response.data["error"]["type"], _reason(response)
    if kind == "resource_already_exists_exception":
        return False
    if kind == "invalid_index_name_exception" and "alias" in reason:
        raise name_is_alias(client, plan.index, [])
    raise TargetRefused(
        f"the engine refuses to create the index: {reason}",
        where=f"{plan.index} at {client.where}",
        kind=kind,
    )


def _put(
    client: SearchClient, plan: UnitPlan, settings: Mapping[str, Any], mappings: Mapping[str, Any]
) -> Response:
    return client.request(
        "PUT",
        path(concrete(plan.index)),
        body={"settings": {"index": settings}, "mappings": mappings},
        expected=(400,),
        where=plan.index,
    )


def _meta(
    plan: UnitPlan, facts: Mapping[str, Any], serving: Mapping[str, Any], newest: datetime | None
) -> dict[str, Any]:
    meta = {**facts, "definition": plan.definition, "serving": {k: serving[k] for k in LOADING}}
    if plan.share is not None:
        period = plan.unit.period.label
        return meta | {"layout": Layout.SHARED.value, "stream": plan.unit.stream, "period": period}
    known = {"max_event_time": age.text(newest)} if newest else {}
    return meta | {"unit": plan.key} | known


def _expected_age(plan: UnitPlan) -> datetime | None:
    """The age of a unit as planned, to the millisecond, which is what engines keep.

    Usually it comes out like that, and nothing is left to be written at the end; if it doesn't,
    :func:`index.finish` puts it right.
    """
    newest = plan.estimate.newest if plan.estimate else None
    if newest is None or plan.share is not None:
        return None
    return newest.replace(microsecond=newest.microsecond // 1000 * 1000)


def _reason(response: Response) -> str:
    return reason_of(response.data["error"])
