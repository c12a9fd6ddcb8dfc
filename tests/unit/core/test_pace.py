"""The brakes of a task: what each does where a copy's threads pass, and what is shown."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Interrupted
from airflow_provider_logmigrate.core.guard import SourceGuard
from airflow_provider_logmigrate.core.pace import Pace
from airflow_provider_logmigrate.core.ports import CopyLimits
from airflow_provider_logmigrate.core.protection import Protection, Reading, Thresholds
from airflow_provider_logmigrate.core.throttle import Sent
from tests.unit.core.building import FakeClock
from tests.unit.core.test_guard import Waits

LIMITS = CopyLimits(in_flight=3, chunk_bytes=4 << 20)


def pace(limits: CopyLimits = LIMITS, clock: FakeClock | None = None) -> Pace:
    return Pace(limits=limits, clock=clock or FakeClock())


def refuse(to: Pace, why: str = "HTTP 429") -> None:
    to.sent(Sent(seconds=1.0, size=1 << 20, flight=to.window.flight, refusals=1, why=why), "unit")


def answer(to: Pace, times: int) -> None:
    for _ in range(times):
        to.sent(Sent(seconds=1.0, size=1 << 20, flight=to.window.flight), "unit")


def test_it_starts_with_all_that_is_allowed_and_nothing_to_say() -> None:
    new = pace()
    assert (new.in_flight(), new.chunk_bytes(), new.note()) == (3, 4 << 20, "")


def test_pressure_is_shown_until_the_window_is_whole_again() -> None:
    it = pace()
    refuse(it)
    refuse(it, "circuit_breaking_exception")
    assert it.note() == "1 of 3 bulks in flight, 4 of 4 MiB each: circuit_breaking_exception"
    answer(it, 8)
    assert it.note() == "2 of 3 bulks in flight, 4 of 4 MiB each: circuit_breaking_exception"
    answer(it, 8)
    assert (it.in_flight(), it.note()) == (3, "")


def test_each_change_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    it = pace()
    with caplog.at_level(logging.INFO):
        refuse(it)
        answer(it, 30)
    assert [record.message for record in caplog.records] == [
        "unit: 2 of 3 bulks in flight, 4 of 4 MiB each: HTTP 429",
        "unit: 3 of 3 bulks in flight, 4 of 4 MiB each: the target is quiet",
    ]


def test_without_limits_no_chunk_waits_and_no_clock_is_looked_at() -> None:
    clock = FakeClock(step=1.0)
    it = pace(clock=clock)
    for _ in range(100):
        it.before_chunk(documents=10**6, size=10**9, stop=Stop(), where="unit")
        it.before_page(Stop(), "unit")
    assert clock.seconds == 0.0


def test_a_limit_holds_over_the_units_of_a_task() -> None:
    clock = FakeClock()
    stop = Waits(clock)
    it = pace(replace(LIMITS, documents_per_second=100.0), clock)
    for _ in range(10):  # as many units, each of one chunk
        it.before_chunk(documents=500, size=1, stop=stop, where="unit")
    assert clock.seconds == pytest.approx(45.0, abs=1.0)
    assert it.note() == "limited to 100 documents/s"


def test_a_chunk_is_no_more_than_a_second_of_a_small_limit() -> None:
    assert pace(replace(LIMITS, bytes_per_second=1e6)).chunk_bytes() == 1_000_000
    assert pace(replace(LIMITS, bytes_per_second=1.0)).chunk_bytes() == 64 << 10
    assert pace(replace(LIMITS, bytes_per_second=1e9)).chunk_bytes() == 4 << 20


def test_waiting_for_a_limit_ends_when_the_task_is_stopped() -> None:
    it = pace(replace(LIMITS, bytes_per_second=1.0))
    stop = Stop()
    it.before_chunk(documents=1, size=10**9, stop=stop, where="unit")
    stop.set("SIGTERM")
    with pytest.raises(Interrupted):
        it.before_chunk(documents=1, size=1, stop=stop, where="unit")


def test_all_reasons_are_shown_together() -> None:
    clock = FakeClock()
    guard = SourceGuard(
        lambda: Reading(active_backends=15),
        Protection(Thresholds(active_backends=10)),
        clock=clock,
    )
    it = Pace(limits=replace(LIMITS, documents_per_second=1.0), clock=clock, guard=guard)
    stop = Waits(clock)
    it.before_page(stop, "unit")
    refuse(it)
    it.before_chunk(documents=5, size=1, stop=stop, where="unit")
    it.before_chunk(documents=5, size=1, stop=stop, where="unit")
    assert it.note() == (
        "reading at half speed: 15 other sessions are active (limit 10);"
        " 2 of 3 bulks in flight, 4 of 4 MiB each: HTTP 429; limited to 1 documents/s"
    )


def test_pages_are_no_longer_than_ten_seconds_of_a_limit() -> None:
    """Twenty thousand rows at ten a second kept one statement open for half an hour."""
    assert pace().page_rows() is None
    assert pace(replace(LIMITS, documents_per_second=10.0)).page_rows() == 100
    assert pace(replace(LIMITS, documents_per_second=0.01)).page_rows() == 1
    by_bytes = pace(replace(LIMITS, bytes_per_second=1e6))
    assert by_bytes.page_rows() is None, "nothing is known of the documents yet"
    by_bytes.before_chunk(documents=50, size=100_000, stop=Stop(), where="unit")
    assert by_bytes.page_rows() == 5_000


def test_chunks_fit_a_limit_of_documents_once_their_size_is_known() -> None:
    it = pace(replace(LIMITS, documents_per_second=100.0))
    assert it.chunk_bytes() == 64 << 10
    it.before_chunk(documents=10, size=20_000, stop=Stop(), where="unit")
    assert it.chunk_bytes() == 200_000
