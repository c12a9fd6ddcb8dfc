"""Spares a source: looks at it between pages, and holds the reader as long as it has to.

The reader is held *between* two statements: no statement, no snapshot and no transaction of the
copy is open on the source while it is spared. A page that is being read isn't broken off; pages
are short.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.core.protection import Level, Protection, Reading, protect

MAX_FAILURES = 5
"""Probes that may fail one after another; then the source counts as down."""

LONGEST_BREATH = 30.0
"""Seconds; at half speed the reader rests as long as its last page took, but not longer."""

_log = logging.getLogger(__name__)


class SourceGuard:
    """Watches one source for one copying task; belongs to the reader's thread.

    A probe that fails is pressure, not an error: the reader pauses and the probe is tried again.

    :param probe: takes a reading; short, and bounded in time. May raise ``SourceUnavailable``.
    """

    def __init__(
        self, probe: Callable[[], Reading], protection: Protection, *, clock: Clock
    ) -> None:
        self._probe, self._protection, self._clock = probe, protection, clock
        self._level = Level.RUN
        self._looked_at: float | None = None
        self._page_began: float | None = None
        self._failures = 0
        self._told: set[str] = set()
        self.note = ""
        """Why reading is slow or waits, empty at full speed. May be read by any thread."""

    def before_page(self, stop: Stop, where: str) -> None:
        """Wait as long as the source has to be spared.

        :raises Interrupted: ``stop`` was set.
        :raises SourceUnavailable: too many probes failed, or the pause took too long.
        """
        began = self._clock.monotonic()
        if self._looked_at is None or began - self._looked_at >= self._protection.every:
            self._look(began, where)
        if self._level is Level.SLOW and self._page_began is not None:
            stop.wait(min(began - self._page_began, LONGEST_BREATH), where)
        while self._paused:
            stop.wait(self._protection.every, where)
            now = self._clock.monotonic()
            self._look(now, where)
            self._bounded(now - began, where)
        self._page_began = self._clock.monotonic()

    def _bounded(self, waited: float, where: str) -> None:
        if self._paused and waited >= self._protection.give_up_after:
            raise SourceUnavailable(
                f"the source had to be spared for {waited:.0f} s: {self.note}",
                where=where,
                next_step="nothing if it passes: the task retries from its checkpoint;"
                " otherwise look at the source, or raise the threshold under `protect`",
            )

    @property
    def _paused(self) -> bool:
        return self._level is Level.PAUSE

    def _look(self, now: float, where: str) -> None:
        self._looked_at = now
        try:
            reading = self._probe()
        except SourceUnavailable as error:
            self._failures += 1
            if self._failures >= MAX_FAILURES:
                raise
            self._move(Level.PAUSE, f"a probe of the source failed: {error.what}", where)
            return
        self._failures = 0
        for missing in reading.unreadable:
            if missing not in self._told:
                self._told.add(missing)
                _log.warning("%s: the source isn't fully protected: %s", where, missing)
        self._move(*protect(reading, self._protection.thresholds, self._level), where)

    def _move(self, level: Level, reason: str, where: str) -> None:
        how = {Level.SLOW: "reading at half speed", Level.PAUSE: "reading pauses"}.get(level)
        self.note = f"{how}: {reason}" if how else ""
        if level is not self._level:
            _log.info("%s: %s", where, self.note or "the source is fine, reading at full speed")
        self._level = level
