"""Task state may wait, but nothing newer is ever hidden by something older."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_logmigrate.core.checkpoint import Counters
from airflow_provider_logmigrate.core.clock import Stop, SystemClock
from airflow_provider_logmigrate.core.errors import Fenced, Interrupted
from airflow_provider_logmigrate.core.progress import ProgressMeter
from airflow_provider_logmigrate.operators.task_state import WRITE_SECONDS, TaskState

LOG = logging.getLogger(__name__)


class Clock(SystemClock):
    """Stands still until it is moved."""

    at = 100.0

    def monotonic(self) -> float:
        return self.at


class Store(dict[str, Any]):
    """Counts what is written."""

    error: Exception | None = None

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, Any]] = []

    def set(self, key: str, value: Any) -> None:
        if self.error is not None:
            raise self.error
        self.written.append((key, value))
        self[key] = value


class Rig:
    def __init__(self) -> None:
        self.store, self.clock, self.stop = Store(), Clock(), Stop()
        self.state = TaskState(self.store, lane=3, stop=self.stop, log=LOG, clock=self.clock)

    def keep(self, *numbers: int) -> None:
        for number in numbers:
            self.state.keep({"n": number})

    @property
    def kept(self) -> list[int]:
        return [value["record"]["n"] for key, value in self.store.written if key == "checkpoint"]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_first_record_is_written_at_once_and_the_newest_of_the_next_later(rig: Rig) -> None:
    rig.keep(1)
    assert rig.store["checkpoint"] == {"lane": 3, "record": {"n": 1}}
    rig.keep(2, 3)
    assert rig.kept == [1]
    rig.clock.at += WRITE_SECONDS
    rig.keep(4)
    assert rig.kept == [1, 4]
    rig.keep(5)
    rig.state.flush()
    rig.state.flush()
    assert rig.kept == [1, 4, 5]


def test_progress_takes_a_waiting_checkpoint_along(rig: Rig) -> None:
    shown = ProgressMeter(unit="u", rows=None).snapshot(at=1.0, counters=Counters())
    rig.keep(1, 2)
    rig.clock.at += WRITE_SECONDS
    rig.state.show(shown)
    assert rig.kept == [1, 2]
    assert rig.store["progress"]["lane"] == 3


def test_what_was_flushed_is_not_followed_by_something_older(rig: Rig) -> None:
    rig.keep(1, 2)
    rig.state.flush()
    rig.clock.at += WRITE_SECONDS
    rig.state.flush()
    assert rig.kept == [1, 2]


def test_a_record_that_airflow_refuses_ends_the_attempt(rig: Rig) -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    rig.keep(1, 2)
    rig.store.error = AirflowRuntimeError(
        ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"status_code": 404})
    )
    with pytest.raises(Fenced):
        rig.state.flush()
    rig.clock.at += WRITE_SECONDS
    with pytest.raises(Fenced):
        rig.keep(3)


def test_without_a_supervisor_nothing_is_written_and_the_copy_ends(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.keep(1, 2)
    monkeypatch.setattr("os.getppid", lambda: -1)
    rig.state.flush()
    assert rig.kept == [1]
    with pytest.raises(Interrupted, match="supervisor is gone"):
        rig.stop.check("unit")
