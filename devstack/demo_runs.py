"""DAG runs of the demo: waits for their end, and tells why one failed."""

from __future__ import annotations

from collections.abc import Callable

from devstack.airflow_api import AirflowClient
from devstack.errors import DevstackError

RUN_SECONDS = 300
"""Longest wait for one run before the demo gives up and says so."""


def finish(
    client: AirflowClient,
    name: str,
    run: str,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Wait until a run has succeeded.

    :param meanwhile: called now and then until it has ended.
    :raises DevstackError: it failed or took too long; with the logs of its failed tasks.
    """
    if client.wait_for_run(name, run, seconds=RUN_SECONDS, meanwhile=meanwhile) != "success":
        raise DevstackError(_failure(client, name, run))


def _failure(client: AirflowClient, name: str, run: str) -> str:
    lines = [f"run {run} of {name} failed"]
    for task in client.task_instances(name, run):
        if task["state"] == "failed":
            log = client.logs(
                name, run, task["task_id"], try_number=task["try_number"],
                map_index=task["map_index"],
            )  # fmt: skip
            lines.append(f"{task['task_id']}[{task['map_index']}]: {log[-3000:]}")
    return "\n".join(lines)
