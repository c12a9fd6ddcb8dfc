"""A snapshot of indices, whole or an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import TargetRefused
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path

LOOK_SECONDS = 2.0
"""Between two looks at a running snapshot."""


def take(
    client: SearchClient, repository: str, name: str, indices: Sequence[str], *, stop: Stop
) -> None:
    """Take a snapshot of indices and wait until it is whole.

    Idempotent by its name: one that is there or still runs isn't taken again, so a killed task's
    successor waits for the same snapshot.

    :raises TargetRefused: there is no such repository, or the snapshot isn't whole.
    :raises Interrupted: ``stop`` was set; the snapshot goes on.
    """
    where = f"snapshot {name} in {repository} at {client.where}"
    found = _look(client, repository, name)
    if found is None:
        client.request(
            "PUT",
            path("_snapshot", repository, name),
            params={"wait_for_completion": "false"},
            body={
                "indices": ",".join(concrete(index) for index in indices),
                "include_global_state": False,
                "partial": False,
            },
            where=where,
            retry=False,
        )
        found = _look(client, repository, name)
    while found is None or found["state"] == "IN_PROGRESS":
        stop.wait(LOOK_SECONDS, where)
        found = _look(client, repository, name)
    missing = sorted(set(indices) - set(found["indices"]))
    if found["state"] != "SUCCESS" or missing:
        lacks = f", without {', '.join(missing[:3])}" if missing else ""
        raise TargetRefused(
            f"the snapshot is {found['state']}{lacks}",
            where=where,
            next_step="delete this snapshot, correct the repository and clear the task",
        )


def _look(client: SearchClient, repository: str, name: str) -> Any:
    data = client.request(
        "GET", path("_snapshot", repository, name), params={"ignore_unavailable": "true"}
    ).data
    # Elasticsearch 7 put each repository's answer into a list of responses.
    found = data.get("snapshots") or []
    return found[0] if found else None
