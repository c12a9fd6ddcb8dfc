"""Whether a source has to be spared, as a pure decision about what a probe of it found."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum

PAUSE_AT = 2.0
"""Reading pauses at this many times a threshold; from the threshold on it runs at half speed."""

EASED_AT = 0.75
"""Full speed again below this share of every threshold. Without a gap between up and down, a
source near its threshold would see the speed change with every look."""

_MIB = 1 << 20


class Level(Enum):
    """How fast rows are read."""

    RUN = "run"
    SLOW = "slow"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a source may show before reading slows down; ``None``: not looked at.

    :param probe_seconds: time of a query that fetches one block of a table.
    :param lag_seconds: how far the slowest replica is behind.
    :param lag_bytes: the same in bytes of write-ahead log.
    :param active_backends: sessions that run a statement, those of this provider left out.
    """

    probe_seconds: float | None = None
    lag_seconds: float | None = None
    lag_bytes: int | None = None
    active_backends: int | None = None

    @property
    def wants_lag(self) -> bool:
        """True if replicas are looked at."""
        return self.lag_seconds is not None or self.lag_bytes is not None


@dataclass(frozen=True, slots=True)
class Protection:
    """How a source is watched.

    :param every: seconds between two looks.
    :param give_up_after: seconds of one pause; then the attempt ends and its worker is free.
    """

    thresholds: Thresholds
    every: float = 5.0
    give_up_after: float = 3600.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe found; ``None``: not asked, nothing to see, or not readable.

    :param unreadable: what was asked for and can't be read, and why: told once, not an error.
    """

    probe_seconds: float | None = None
    lag_seconds: float | None = None
    lag_bytes: int | None = None
    active_backends: int | None = None
    unreadable: tuple[str, ...] = ()


def protect(reading: Reading, thresholds: Thresholds, before: Level) -> tuple[Level, str]:
    """How fast to read from now on, and why; the reason is empty at full speed.

    * up to a threshold: full speed; above it: slow; from twice the threshold on: pause;
    * back: a pause becomes slow once nothing is above its threshold, slow becomes full speed once
      everything is below three quarters of it.
    """
    load, reason = max(
        (
            (float(found) / float(allowed), _shown(field.name, found, allowed))
            for field in fields(thresholds)
            if (allowed := getattr(thresholds, field.name)) is not None
            and (found := getattr(reading, field.name)) is not None
        ),
        default=(0.0, ""),
    )
    if load >= PAUSE_AT or (before is Level.PAUSE and load > 1.0):
        return Level.PAUSE, reason
    if load > 1.0 or (before is not Level.RUN and load > EASED_AT):
        return Level.SLOW, reason
    return Level.RUN, ""


def _shown(name: str, found: float, allowed: float) -> str:
    if name == "probe_seconds":
        return f"a probe query took {found * 1000:.0f} ms (limit {allowed * 1000:.0f} ms)"
    if name == "lag_seconds":
        return f"a replica is {found:.1f} s behind (limit {allowed:.1f} s)"
    if name == "lag_bytes":
        return f"a replica is {found / _MIB:.1f} MiB behind (limit {allowed / _MIB:.1f} MiB)"
    return f"{found} other sessions are active (limit {allowed})"
