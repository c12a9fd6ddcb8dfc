"""AIMD and rate limits as decisions: no clock, no thread, no waiting."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from airflow_provider_logmigrate.core.throttle import (
    CREDIT_SECONDS,
    QUIET_BULKS,
    SMALLEST_BYTES,
    Bounds,
    RateLimit,
    Sent,
    Window,
    adapt,
)

MIB = 1 << 20
BOUNDS = Bounds(in_flight=4, chunk_bytes=4 * MIB)


def ok(window: Window, seconds: float = 1.0) -> Sent:
    return Sent(seconds=seconds, size=window.chunk_bytes, flight=window.flight)


def refused(window: Window, why: str = "HTTP 429") -> Sent:
    return Sent(seconds=0.1, size=window.chunk_bytes, flight=window.flight, refusals=1, why=why)


def after(window: Window, *some: Sent, bounds: Bounds = BOUNDS) -> Window:
    for sent in some:
        window, _ = adapt(window, sent, bounds)
    return window


def shape(window: Window) -> tuple[int, int]:
    return window.in_flight, window.chunk_bytes


def test_a_quiet_target_keeps_all_that_is_allowed() -> None:
    window = Window.of(BOUNDS)
    for _ in range(100):
        window, why = adapt(window, ok(window), BOUNDS)
        assert (shape(window), why) == ((4, 4 * MIB), "")
    assert not window.is_lowered(BOUNDS)


def test_a_refusal_halves_the_bulks_in_flight_first_and_then_the_bodies() -> None:
    window = Window.of(BOUNDS)
    seen = []
    for _ in range(10):
        window, why = adapt(window, refused(window), BOUNDS)
        assert why == "HTTP 429"
        seen.append(shape(window))
    assert seen[:5] == [(2, 4 * MIB), (1, 4 * MIB), (1, 2 * MIB), (1, MIB), (1, MIB // 2)]
    assert seen[-1] == (1, SMALLEST_BYTES)


def test_one_moment_of_pressure_that_all_bulks_in_flight_report_lowers_once() -> None:
    start = Window.of(BOUNDS)
    window = after(start, *[refused(start)] * 4)
    assert shape(window) == (2, 4 * MIB)
    assert shape(after(window, refused(window))) == (1, 4 * MIB)


def test_a_bulk_that_fits_only_in_pieces_lowers_the_bodies_at_once() -> None:
    start = Window.of(BOUNDS)
    too_big = replace(ok(start), split=True)
    assert shape(after(start, too_big)) == (4, 2 * MIB)


def test_bodies_that_were_cut_before_the_step_down_do_not_lower_it_again() -> None:
    """What waited in the queue at its old size brought the bodies down to the floor."""
    window = replace(Window.of(BOUNDS), in_flight=1)
    window = after(window, refused(window))
    old = replace(refused(window), size=4 * MIB)
    assert shape(after(window, old, old, old)) == (1, 2 * MIB)
    assert shape(after(window, old, refused(window))) == (1, MIB)


def test_the_bodies_come_back_first_then_the_bulks_one_at_a_time() -> None:
    window = replace(Window.of(BOUNDS), in_flight=1, chunk_bytes=3 * MIB)
    seen = [shape(window)]
    for _ in range(10 * QUIET_BULKS):
        window, _ = adapt(window, ok(window), BOUNDS)
        if shape(window) != seen[-1]:
            seen.append(shape(window))
    assert seen == [
        (1, 3 * MIB),
        (1, 3 * MIB + MIB // 2),
        (1, 4 * MIB),
        (2, 4 * MIB),
        (3, 4 * MIB),
        (4, 4 * MIB),
    ]


def test_small_bodies_do_not_step_up_every_moment() -> None:
    window = replace(Window.of(BOUNDS), in_flight=1)
    assert after(window, *[ok(window, seconds=0.1)] * 49).in_flight == 1
    assert after(window, *[ok(window, seconds=0.1)] * 51).in_flight == 2


def test_a_refusal_starts_the_quiet_stretch_anew_whenever_it_was_sent() -> None:
    lower = after(Window.of(BOUNDS), refused(Window.of(BOUNDS)))
    nearly = after(lower, *[ok(lower)] * (QUIET_BULKS - 1))
    late = replace(refused(lower), flight=lower.flight - 1)
    assert shape(after(nearly, late, ok(lower))) == shape(lower)
    assert shape(after(nearly, ok(lower))) == (3, 4 * MIB)


def test_what_was_sent_before_the_last_step_down_does_not_count_as_quiet() -> None:
    start = Window.of(BOUNDS)
    lower = after(start, refused(start))
    assert shape(after(lower, *[ok(start)] * 100)) == shape(lower)


def test_a_bulk_far_slower_than_usual_is_push_back() -> None:
    window = after(Window.of(BOUNDS), *[ok(Window.of(BOUNDS), 0.6)] * 10)
    lower, why = adapt(window, ok(window, 6.0), BOUNDS)
    assert shape(lower) == (2, 4 * MIB)
    assert why == "a bulk took 6.0 s, more than 4 times the usual"


@pytest.mark.parametrize("usual", [0.05, 0.3, 0.49])
def test_a_short_pause_is_not_pressure_however_fast_the_target_was(usual: float) -> None:
    window = after(Window.of(BOUNDS), *[ok(Window.of(BOUNDS), usual)] * 10)
    assert adapt(window, ok(window, 1.9), BOUNDS)[1] == ""


def test_larger_bulks_are_not_slow_because_they_take_longer() -> None:
    window = replace(Window.of(BOUNDS), in_flight=2)
    small = Sent(seconds=0.5, size=MIB, flight=0)
    window = after(window, *[small] * 4)
    assert adapt(window, Sent(seconds=7.0, size=4 * MIB, flight=0), BOUNDS)[1] == ""


def test_a_target_that_stays_slower_is_not_held_down_for_ever() -> None:
    window = after(Window.of(BOUNDS), *[ok(Window.of(BOUNDS), 0.5)] * 10)
    for _ in range(400):
        window, _ = adapt(window, ok(window, 5.0 * window.chunk_bytes / (4 * MIB)), BOUNDS)
    assert shape(window) == (4, 4 * MIB)


def test_refused_bulks_do_not_change_what_is_usual() -> None:
    window = after(Window.of(BOUNDS), ok(Window.of(BOUNDS), 1.0))
    assert after(window, refused(window)).usual == window.usual


@pytest.mark.parametrize(
    "bounds", [Bounds(1, 1), Bounds(1, SMALLEST_BYTES), Bounds(3, 300_000), Bounds(16, 64 * MIB)]
)
def test_no_sequence_of_answers_leaves_the_bounds(bounds: Bounds) -> None:
    rng = random.Random(7)
    window = Window.of(bounds)
    for _ in range(5_000):
        sent = Sent(
            seconds=rng.choice([0.0, 0.01, 1.0, 30.0]),
            size=rng.choice([0, 1, window.chunk_bytes, 10 * window.chunk_bytes]),
            flight=window.flight - rng.choice([0, 0, 0, 1]),
            refusals=rng.choice([0] * 9 + [1]),
            split=rng.random() < 0.02,
        )
        window, _ = adapt(window, sent, bounds)
        assert 1 <= window.in_flight <= bounds.in_flight
        assert bounds.smallest <= window.chunk_bytes <= bounds.chunk_bytes


def test_the_line_for_people() -> None:
    window = Window(in_flight=1, chunk_bytes=MIB // 2)
    assert window.line(BOUNDS) == "1 of 4 bulks in flight, 0.5 of 4 MiB each"


def paced(limit: RateLimit, chunks: list[tuple[float, int, int]]) -> list[float]:
    """When each chunk goes out, if the next one is ready so many seconds after the last."""
    now = due = 0.0
    times = []
    for pause, documents, size in chunks:
        now += pause
        wait, due, reason = limit.delay(at=now, due=due, documents=documents, size=size)
        assert bool(wait) == bool(reason)
        now += wait
        times.append(now)
    return times


def test_without_limits_nothing_waits() -> None:
    limit = RateLimit()
    assert not limit.is_set
    assert limit.delay(at=5.0, due=0.0, documents=10**9, size=10**12) == (0.0, 4.0, "")


def test_the_mean_rate_keeps_to_the_limit() -> None:
    times = paced(RateLimit(documents_per_second=100), [(0.0, 50, 0)] * 101)
    assert times[-1] == pytest.approx(50.0, abs=CREDIT_SECONDS)


def test_the_stricter_limit_holds_and_is_named() -> None:
    limit = RateLimit(documents_per_second=1_000, bytes_per_second=2e6)
    _, due, _ = limit.delay(at=0.0, due=0.0, documents=10, size=4_000_000)
    wait, _, reason = limit.delay(at=0.0, due=due, documents=10, size=4_000_000)
    assert (wait, reason) == (2.0, "limited to 2 MB/s")
    _, due, _ = limit.delay(at=0.0, due=0.0, documents=5_000, size=10)
    assert limit.delay(at=0.0, due=due, documents=1, size=1)[2] == "limited to 1,000 documents/s"


def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    limit = RateLimit(documents_per_second=10)
    times = paced(limit, [(0.0, 10, 0), (3_600.0, 10, 0), *[(0.0, 10, 0)] * 10])
    assert times[-1] - times[1] >= 10 - CREDIT_SECONDS


@pytest.mark.parametrize("seed", range(20))
def test_no_stretch_of_time_gets_more_than_the_limit(seed: int) -> None:
    rng = random.Random(seed)
    most = 50
    chunks = [(rng.expovariate(1.0), rng.randint(1, most), 0) for _ in range(300)]
    times = paced(RateLimit(documents_per_second=20), chunks)
    for first in range(0, 300, 17):
        sent = 0
        for position in range(first, 300):
            sent += chunks[position][1]
            took = times[position] - times[first]
            assert sent <= 20 * (took + CREDIT_SECONDS) + most + 1e-6
