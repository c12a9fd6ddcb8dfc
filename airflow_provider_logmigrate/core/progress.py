"""One immutable progress snapshot that feeds the log, task state and the report."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_logmigrate.core.checkpoint import Counters

RATE_WINDOW_SECONDS = 30.0
"""The rate is taken over this window: steady enough to read, young enough to be true."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a unit's copy stands.

    :param rows: estimated rows of the unit, ``None`` if unknown.
    :param rate: documents per second over the last half minute.
    :param eta_seconds: ``None`` while there is no rate or no estimate.
    :param note: why the copy is slow or waits, empty otherwise.
    """

    unit: str
    rows: int | None
    done: int
    rejected: int
    bytes: int
    rate: float
    eta_seconds: float | None
    note: str = ""

    @property
    def percent(self) -> float | None:
        """Share of the estimate, never above 100."""
        return min(100.0, 100.0 * self.done / self.rows) if self.rows else None

    def line(self) -> str:
        """One log line."""
        share = f" {self.percent:.0f} %" if self.percent is not None else ""
        eta = f", {_duration(self.eta_seconds)} left" if self.eta_seconds is not None else ""
        rejected = f", {self.rejected:,} rejected" if self.rejected else ""
        note = f" ({self.note})" if self.note else ""
        return f"{self.unit}: {self.done:,} rows{share}, {self.rate:,.0f}/s{eta}{rejected}{note}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for task state."""
        return asdict(self)


class ProgressMeter:
    """Computes snapshots from counters. Fed with times, so it is tested without sleeping."""

    def __init__(self, *, unit: str, rows: int | None) -> None:
        self._unit = unit
        self._rows = rows
        self._samples: deque[tuple[float, int]] = deque()

    def snapshot(self, *, at: float, counters: Counters, note: str = "") -> Progress:
        """The state at monotonic time ``at`` (seconds)."""
        done = counters.documents + counters.rejected
        self._samples.append((at, done))
        while self._samples[0][0] < at - RATE_WINDOW_SECONDS and len(self._samples) > 2:
            self._samples.popleft()
        (began, had), elapsed = self._samples[0], at - self._samples[0][0]
        rate = (done - had) / elapsed if elapsed > 0 and at > began else 0.0
        left = max(0, self._rows - done) if self._rows is not None else None
        eta = left / rate if left is not None and rate > 0 else None
        return Progress(
            unit=self._unit,
            rows=self._rows,
            done=done,
            rejected=counters.rejected,
            bytes=counters.bytes,
            rate=rate,
            eta_seconds=eta,
            note=note,
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
