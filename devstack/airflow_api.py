"""A small client of Airflow's public REST API, for the demo and the system tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import httpx

from devstack.errors import DevstackError

_PAGE = 100
_FINISHED = ("success", "failed")

_SOON = timedelta(seconds=5)
"""A task that is answered before the scheduler has seen its process end is failed by Airflow."""


class ApiError(DevstackError):
    """Airflow refused a call."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"Airflow answered {status} to {method} {path}: {body[:2000]}")
        self.status = status
        self.body = body


class AirflowClient:
    """
    Calls as one user.

    :param url: base address, for example ``http://127.0.0.1:23456``.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._token: str | None = None

    def request(self, method: str, path: str, json: object = None) -> httpx.Response:
        """Any call; the answer whatever its status. Logs in first, and again when that expired."""
        # A proxy from the environment must never see calls to our own loopback address.
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            for last in (False, True):
                if self._token is None:
                    answer = client.post("/auth/token", json=self._login)
                    if answer.status_code != 201:
                        raise ApiError("POST", "/auth/token", answer.status_code, answer.text)
                    self._token = answer.json()["access_token"]
                headers = {"Authorization": f"Bearer {self._token}"}
                answer = client.request(method, path, json=json, headers=headers)
                if answer.status_code != 401 or last:
                    break
                self._token = None
        return answer

    def get(self, path: str) -> Any:
        """The answer to GET ``/api/v2<path>``."""
        return self._call("GET", path)

    def post(self, path: str, json: object) -> Any:
        """The answer to POST ``/api/v2<path>``."""
        return self._call("POST", path, json)

    def patch(self, path: str, json: object) -> Any:
        """The answer to PATCH ``/api/v2<path>``."""
        return self._call("PATCH", path, json)

    def healthy(self, *, triggerer: bool = True) -> bool:
        """
        Whether all components report themselves alive; needs no login.

        :param triggerer: whether there is one.
        """
        try:
            answer = httpx.get(f"{self.url}/api/v2/monitor/health", trust_env=False, timeout=10)
        except httpx.TransportError:
            return False
        if answer.status_code != 200:
            return False
        health = answer.json()
        parts = ["metadatabase", "scheduler", "dag_processor"]
        if triggerer:
            parts.append("triggerer")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def wait_for_dag(self, dag_id: str, *, seconds: float = 60) -> None:
        """Wait until the DAG was parsed and stored; if it never is, show the import errors."""
        deadline = time.monotonic() + seconds
        while self.request("GET", f"/api/v2/dags/{_part(dag_id)}").status_code != 200:
            if time.monotonic() > deadline:
                errors = [
                    f"{error['filename']}:\n{error['stack_trace']}"
                    for error in self.get("/importErrors")["import_errors"]
                ]
                raise DevstackError(
                    f"DAG {dag_id} did not appear within {seconds:.0f} s; "
                    + ("\n".join(errors) or "no DAG file has an import error")
                )
            time.sleep(0.5)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run it: a paused DAG's runs stay queued for ever."""
        self.patch(f"/dags/{_part(dag_id)}", {"is_paused": False})

    def trigger(
        self, dag_id: str, *, conf: Mapping[str, Any] | None = None, run_id: str | None = None
    ) -> str:
        """Unpause the DAG, start a run, return its id."""
        self.unpause(dag_id)
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        created = self.post(f"/dags/{_part(dag_id)}/dagRuns", body)
        return str(created["dag_run_id"])

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        seconds: float = 240,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> str:
        """
        Wait for the end of a run and return its state, ``success`` or ``failed``.

        :param meanwhile: called now and then until it has ended.
        """
        deadline = time.monotonic() + seconds
        while True:
            state = str(self.get(f"{_run(dag_id, run_id)}")["state"])
            if state in _FINISHED:
                return state
            meanwhile()
            if time.monotonic() > deadline:
                tasks = {
                    f"{task['task_id']}[{task['map_index']}]": task["state"]
                    for task in self.task_instances(dag_id, run_id)
                }
                raise DevstackError(
                    f"run {run_id} of {dag_id} is still {state} after {seconds:.0f} s; "
                    f"its tasks: {tasks}"
                )
            time.sleep(0.5)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run, mapped ones each."""
        return list(self._pages(f"{_run(dag_id, run_id)}/taskInstances", "task_instances"))

    def logs(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1
    ) -> str:
        """The log of one try, one event a line."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{_part(task_id)}/logs/{try_number}"
        content = self.get(f"{path}?full_content=true&map_index={map_index}")["content"]
        return "\n".join(_log_line(event) for event in content)

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """A value one task passed on."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{_part(task_id)}/xcomEntries/{_part(key)}"
        return self.get(f"{path}?map_index={map_index}&deserialize=true")["value"]

    def question(self, dag_id: str, run_id: str, task_id: str = "approval") -> Any | None:
        """What a task asks a person; ``None`` while it asks nothing, or can't be answered yet."""
        path = _run(dag_id, run_id)
        if self.get(f"{path}/taskInstances/{_part(task_id)}")["state"] != "awaiting_input":
            return None
        for asked in self.get(f"{path}/hitlDetails")["hitl_details"]:
            age = datetime.now(timezone.utc) - datetime.fromisoformat(
                asked["created_at"].replace("Z", "+00:00")
            )
            if age > _SOON:
                return asked
        return None

    def answer(self, dag_id: str, run_id: str, option: str, task_id: str = "approval") -> None:
        """Answer it, as this client's user."""
        self.patch(
            f"{_run(dag_id, run_id)}/taskInstances/{_part(task_id)}/-1/hitlDetails",
            {"chosen_options": [option], "params_input": {}},
        )

    def _call(self, method: str, path: str, json: object = None) -> Any:
        answer = self.request(method, f"/api/v2{path}", json)
        if answer.is_error:
            raise ApiError(method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self.get(f"{path}?limit={_PAGE}&offset={offset}")
            yield from page[key]
            offset += _PAGE
            if offset >= page["total_entries"]:
                return


def _part(name: str) -> str:
    return quote(name, safe="")


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{_part(dag_id)}/dagRuns/{_part(run_id)}"


def _log_line(event: Any) -> str:
    if not isinstance(event, dict):
        return str(event)
    shown = ("timestamp", "level", "event", "error_detail")
    return " ".join(str(event[key]) for key in shown if event.get(key))
