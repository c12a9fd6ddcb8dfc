"""Which lifecycle policy of the engine manages an index, if any: it deletes by ages of its own."""

from __future__ import annotations

from airflow_provider_logmigrate.core.errors import TargetRefused
from airflow_provider_logmigrate.stores.search.client import Engine, SearchClient, concrete, path
from airflow_provider_logmigrate.stores.search.existing import IndexState

ILM_POLICY = "index.lifecycle.name"
"""Elasticsearch keeps the policy in the index's own settings."""

ISM_POLICY = "index.plugins.index_state_management.policy_id"
"""OpenSearch keeps it beside the index; its plugin tells."""


def policy(client: SearchClient, state: IndexState) -> str | None:
    """The policy that manages an index.

    An OpenSearch without the plugin has no such request, and no policies.

    :raises TargetRefused: the plugin doesn't tell.
    """
    if client.engine is Engine.ELASTICSEARCH:
        return state.settings.get(ILM_POLICY) or None
    response = client.request(
        "GET",
        path("_plugins", "_ism", "explain", concrete(state.name)),
        expected=(400,),
        where=state.name,
    )
    if response.status == 400:
        if "no handler found" in str(response.data):
            return None
        raise TargetRefused(
            f"the engine doesn't tell whether a policy manages the index: {response.data}",
            where=f"{state.name} at {client.where}",
        )
    found: str | None = response.data.get(state.name, {}).get(ISM_POLICY)
    return found or None
