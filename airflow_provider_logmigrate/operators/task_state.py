"""Task state: the checkpoint that survives a retry, and the progress people see.

The ledger has accepted every checkpoint before it comes here (that is where the fence is), so
losing one write here loses nothing, and a record may wait: a write costs 16 to 20 ms at the API
server, which small units would spend more time on than on their rows. A refused write means that
Airflow has given the task to somebody else: the attempt ends.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.checkpoint import Checkpoint
from airflow_provider_logmigrate.core.errors import Fenced

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.clock import Clock, Stop
    from airflow_provider_logmigrate.core.progress import Progress

CHECKPOINT = "checkpoint"
PROGRESS = "progress"

WRITE_SECONDS = 2.0
"""A record is written at once if the last one of its kind is this old; else with a later call."""


class TaskState:
    """Keeps one attempt's checkpoint and progress.

    :param store: Airflow's task state store of this task instance.
    :param lane: number of the lane; task state is keyed by position, so every record names it.
    :param stop: set when the process has lost its supervisor.
    """

    def __init__(self, store: Any, *, lane: int, stop: Stop, log: Any, clock: Clock) -> None:
        self._store = store
        self._lane = lane
        self._stop = stop
        self._log = log
        self._clock = clock
        self._waiting: dict[str, dict[str, Any]] = {}
        self._written_at: dict[str, float] = {}
        self._supervisor = os.getppid()

    def checkpoint(self) -> Checkpoint | None:
        """The record an earlier attempt of this task left, if any."""
        kept = self._store.get(CHECKPOINT)
        if not isinstance(kept, dict) or kept.get("lane") != self._lane:
            return None
        record = kept.get("record")
        return Checkpoint.from_json(record) if isinstance(record, dict) else None

    def keep(self, record: dict[str, Any]) -> None:
        """Keep a checkpoint: now, or the newest one with a later call.

        :raises Fenced: Airflow doesn't know this attempt any more.
        """
        self._watch_supervisor()
        self._put(CHECKPOINT, {"lane": self._lane, "record": record})

    def show(self, progress: Progress) -> None:
        """Log the progress and show it in task state. :raises Fenced: as :meth:`keep`."""
        self._watch_supervisor()
        self._log.info("%s", progress.line())
        self._put(PROGRESS, progress.to_json() | {"lane": self._lane})

    def flush(self) -> None:
        """Write what is still waiting, if anybody is there to take it.

        :raises Fenced: as :meth:`keep`.
        """
        for key in tuple(self._waiting):
            if not self._watch_supervisor():
                return
            self._write(key)

    def _put(self, key: str, value: dict[str, Any]) -> None:
        self._waiting[key] = value
        now = self._clock.monotonic()
        for waiting in tuple(self._waiting):
            last = self._written_at.get(waiting)
            if last is None or now - last >= WRITE_SECONDS:
                self._write(waiting)

    def _write(self, key: str) -> None:
        self._set(key, self._waiting.pop(key))
        self._written_at[key] = self._clock.monotonic()

    def _set(self, key: str, value: dict[str, Any]) -> None:
        from airflow.sdk.exceptions import AirflowRuntimeError

        try:
            self._store.set(key, value)
        except AirflowRuntimeError as error:
            if any(sign in str(error) for sign in ("404", "409", "not_found", "410")):
                raise Fenced(
                    "Airflow doesn't know this attempt any more: its retry has begun",
                    where=f"lane {self._lane}",
                ) from error
            self._log.warning("task state isn't written, the ledger has it: %s", error)
        except (BrokenPipeError, EOFError, ConnectionError) as error:
            self._stop.set(f"the task's supervisor is gone: {error}")

    def _watch_supervisor(self) -> bool:
        there = os.getppid() == self._supervisor
        if not there:
            self._stop.set("the task's supervisor is gone")
        return there
