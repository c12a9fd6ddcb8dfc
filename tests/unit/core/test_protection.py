"""When a source is spared, as a decision."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.protection import Level, Reading, Thresholds, protect

RUN, SLOW, PAUSE = Level.RUN, Level.SLOW, Level.PAUSE
PROBE = Thresholds(probe_seconds=0.1)


@pytest.mark.parametrize(
    ("before", "seconds", "expected"),
    [
        (RUN, 0.0, RUN),
        (RUN, 0.1, RUN),
        (RUN, 0.101, SLOW),
        (RUN, 0.199, SLOW),
        (RUN, 0.2, PAUSE),
        (SLOW, 0.08, SLOW),
        (SLOW, 0.075, RUN),
        (SLOW, 0.15, SLOW),
        (SLOW, 0.2, PAUSE),
        (PAUSE, 0.15, PAUSE),
        (PAUSE, 0.1, SLOW),
        (PAUSE, 0.05, RUN),
    ],
)
def test_up_at_once_and_down_with_a_gap(before: Level, seconds: float, expected: Level) -> None:
    level, reason = protect(Reading(probe_seconds=seconds), PROBE, before)
    assert level is expected
    assert bool(reason) == (level is not RUN)


def test_a_source_near_its_threshold_does_not_flap() -> None:
    level, changes = RUN, 0
    for n in range(100):
        found = Reading(probe_seconds=0.099 if n % 2 else 0.101)
        before, level = level, protect(found, PROBE, level)[0]
        changes += before is not level
    assert (level, changes) == (SLOW, 1)


@pytest.mark.parametrize(
    ("thresholds", "reading", "reason"),
    [
        (PROBE, Reading(0.25), "a probe query took 250 ms (limit 100 ms)"),
        (
            Thresholds(lag_seconds=10),
            Reading(lag_seconds=31.26),
            "a replica is 31.3 s behind (limit 10.0 s)",
        ),
        (
            Thresholds(lag_bytes=64 << 20),
            Reading(lag_bytes=1 << 30),
            "a replica is 1024.0 MiB behind (limit 64.0 MiB)",
        ),
        (
            Thresholds(active_backends=20),
            Reading(active_backends=44),
            "44 other sessions are active (limit 20)",
        ),
    ],
)
def test_the_reason_names_figure_and_limit(
    thresholds: Thresholds, reading: Reading, reason: str
) -> None:
    assert protect(reading, thresholds, RUN) == (PAUSE, reason)


def test_the_worst_figure_decides() -> None:
    wanted = Thresholds(probe_seconds=0.1, lag_seconds=10, active_backends=10)
    level, reason = protect(
        Reading(probe_seconds=0.11, lag_seconds=15, active_backends=11), wanted, RUN
    )
    assert level is SLOW
    assert reason.startswith("a replica is 15.0 s behind")


def test_only_what_is_watched_counts() -> None:
    busy = Reading(probe_seconds=9.0, lag_seconds=900, lag_bytes=1 << 40, active_backends=900)
    assert protect(busy, Thresholds(), PAUSE) == (RUN, "")
    assert protect(Reading(), Thresholds(1.0, 1.0, 1, 1), RUN) == (RUN, "")
