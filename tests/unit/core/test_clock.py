"""Stopping: one flag, seen at once by whoever waits, safe in a signal handler."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

import pytest

from airflow_provider_logmigrate.core.clock import Stop, SystemClock
from airflow_provider_logmigrate.core.errors import Interrupted


def test_the_system_clock_is_utc_and_monotonic() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()


def test_nothing_happens_until_it_is_set() -> None:
    stop = Stop()
    stop.check("here")
    stop.wait(0.001, "here")
    stop.wait(0, "here")
    stop.wait(-5, "here")
    assert not stop.is_set()


def test_the_first_reason_is_kept_and_told() -> None:
    stop = Stop()
    stop.set("SIGTERM")
    stop.set("something later")
    assert stop.is_set()
    told = r"stopped: SIGTERM \[unit u\]"
    with pytest.raises(Interrupted, match=told):
        stop.check("unit u")
    with pytest.raises(Interrupted, match=told):
        stop.wait(3600, "unit u")


def test_everyone_who_waits_is_woken_at_once() -> None:
    stop = Stop()
    woken: list[str] = []

    def wait(name: str) -> None:
        try:
            stop.wait(3600, name)
        except Interrupted:
            woken.append(name)

    threads = [threading.Thread(target=wait, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    began = time.monotonic()
    stop.set("now")
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - began < 2
    assert sorted(woken) == [f"t{n}" for n in range(8)]


def test_many_may_set_it_at_the_same_time() -> None:
    stop = Stop()
    barrier = threading.Barrier(8)

    def set_it(n: int) -> None:
        barrier.wait()
        stop.set(f"reason {n}")

    threads = [threading.Thread(target=set_it, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = stop.reason
    assert first.startswith("reason ")
    stop.set("later")
    assert stop.reason == first


@contextmanager
def alarms(handler: object, *, every: float) -> Iterator[None]:
    usual = signal.signal(signal.SIGALRM, handler)  # type: ignore[arg-type]
    signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


def test_a_signal_handler_ends_the_wait_of_its_own_thread() -> None:
    stop = Stop()

    def handler(number: int, frame: FrameType | None) -> None:
        stop.set("SIGTERM")

    began = time.monotonic()
    with alarms(handler, every=0.02), pytest.raises(Interrupted, match="SIGTERM"):
        stop.wait(3600, "the back-off")
    assert time.monotonic() - began < 2


def test_a_signal_in_the_middle_of_any_method_blocks_nothing() -> None:
    """The handler runs inside ``set`` and ``wait`` of the same thread, many times over."""
    current = [Stop()]
    hits = 0

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal hits
        hits += 1
        current[0].set("SIGTERM")

    interrupted = 0
    with alarms(handler, every=0.0003):
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            current[0] = stop = Stop()
            try:
                for _ in range(5):
                    stop.wait(0.0001, "here")
                stop.set("by itself")
                assert stop.is_set()
            except Interrupted:
                interrupted += 1
    assert hits > 50
    assert interrupted > 10
