"""Sparing a source: when it is looked at, how long the reader is held, and what ends it."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    Interrupted,
    SourceUnavailable,
)
from airflow_provider_logmigrate.core.guard import MAX_FAILURES, SourceGuard
from airflow_provider_logmigrate.core.protection import Protection, Reading, Thresholds
from tests.unit.core.building import FakeClock

QUIET, BUSY, OVERLOADED = Reading(0.01), Reading(0.15), Reading(0.5)


class Waits(Stop):
    """Time passes by waiting."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.waited: list[float] = []

    def wait(self, seconds: float, where: str) -> None:
        self.check(where)
        self.waited.append(seconds)
        self.clock.seconds += seconds


class Rig:
    """A guard whose probe answers from a list; the last answer is repeated."""

    def __init__(self, *answers: Reading | Exception, give_up_after: float = 3600.0) -> None:
        self.answers = list(answers)
        self.asked_at: list[float] = []
        self.clock = FakeClock()
        self.stop = Waits(self.clock)
        self.guard = SourceGuard(
            self.probe,
            Protection(Thresholds(probe_seconds=0.1), every=5.0, give_up_after=give_up_after),
            clock=self.clock,
        )

    def probe(self) -> Reading:
        self.asked_at.append(self.clock.seconds)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def page(self, seconds: float = 1.0) -> float:
        """Read one page; how long the reader was held before it."""
        began = self.clock.seconds
        self.guard.before_page(self.stop, "unit")
        held = self.clock.seconds - began
        self.clock.seconds += seconds
        return held


def test_a_healthy_source_is_asked_now_and_then_and_never_waited_for() -> None:
    rig = Rig(QUIET)
    assert [rig.page() for _ in range(12)] == [0.0] * 12
    assert rig.asked_at == [0.0, 5.0, 10.0]
    assert rig.guard.note == ""


def test_a_busy_source_is_read_at_half_speed() -> None:
    rig = Rig(BUSY)
    assert [rig.page(2.0) for _ in range(4)] == [0.0, 2.0, 2.0, 2.0]
    assert rig.guard.note == "reading at half speed: a probe query took 150 ms (limit 100 ms)"
    assert rig.page(100.0) == 2.0
    assert rig.page() == 30.0, "a rest is bounded"


def test_an_overloaded_source_is_left_alone_until_it_recovers() -> None:
    rig = Rig(OVERLOADED, OVERLOADED, BUSY, QUIET)
    notes = []
    wait = rig.stop.wait

    def look(seconds: float, where: str) -> None:
        notes.append(rig.guard.note)
        wait(seconds, where)

    rig.stop.wait = look  # type: ignore[method-assign]
    assert rig.page() == 15.0
    assert notes == ["reading pauses: a probe query took 500 ms (limit 100 ms)"] * 2 + [
        "reading pauses: a probe query took 150 ms (limit 100 ms)"
    ]
    assert rig.guard.note == ""


def test_a_pause_ends_at_once_when_the_task_is_stopped() -> None:
    rig = Rig(OVERLOADED)
    rig.stop.set("SIGTERM")
    with pytest.raises(Interrupted, match="SIGTERM"):
        rig.page()


def test_a_pause_without_end_ends_the_attempt_and_frees_its_worker() -> None:
    rig = Rig(OVERLOADED, give_up_after=60.0)
    with pytest.raises(
        SourceUnavailable, match=r"spared for 60 s: reading pauses: a probe"
    ) as error:
        rig.page()
    assert error.value.retryable
    assert len(rig.asked_at) == 13


def test_a_failing_probe_is_pressure_with_its_reason() -> None:
    down = SourceUnavailable("too many clients")
    rig = Rig(down, down, QUIET)
    seen: list[str] = []
    wait = rig.stop.wait

    def look(seconds: float, where: str) -> None:
        seen.append(rig.guard.note)
        wait(seconds, where)

    rig.stop.wait = look  # type: ignore[method-assign]
    assert rig.page() == 10.0
    assert seen == ["reading pauses: a probe of the source failed: too many clients"] * 2


def test_probes_that_fail_one_after_another_are_an_outage() -> None:
    rig = Rig(SourceUnavailable("gone"))
    with pytest.raises(SourceUnavailable, match="gone"):
        rig.page()
    assert len(rig.asked_at) == MAX_FAILURES


def test_failures_with_answers_between_them_are_not_added_up() -> None:
    down = SourceUnavailable("gone")
    once: list[Reading | Exception] = [down, down, down, down, QUIET]
    rig = Rig(*once * 3)
    for _ in range(12):
        rig.page(5.0)
    assert len(rig.asked_at) > 2 * MAX_FAILURES


def test_an_error_that_does_not_pass_is_raised_as_it_is() -> None:
    rig = Rig(ConnectionInvalid("the login was refused"))
    with pytest.raises(ConnectionInvalid):
        rig.page()


def test_what_can_not_be_read_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(Reading(0.01, unreadable=("replication lag can't be read: grant pg_monitor",)))
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            rig.page(5.0)
    assert [record.message for record in caplog.records] == [
        "unit: the source isn't fully protected: replication lag can't be read: grant pg_monitor"
    ]


def test_each_change_of_speed_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(QUIET, BUSY, BUSY, QUIET, QUIET)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            rig.page(5.0)
    assert [record.message for record in caplog.records] == [
        "unit: reading at half speed: a probe query took 150 ms (limit 100 ms)",
        "unit: the source is fine, reading at full speed",
    ]
