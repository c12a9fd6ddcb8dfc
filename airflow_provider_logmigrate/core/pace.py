"""The brakes of one copying task in one place: the target's pressure, limits, the source's health.

Every decision is a pure function of :mod:`.throttle` or :mod:`.protection`; this holds their state
between calls, applies them where the threads of a copy pass, and says why a copy is slow. It
outlives the units of a task: what was learnt about a target holds for the next unit as well, and
a rate limit isn't new with each.
"""

from __future__ import annotations

import logging
import threading

from airflow_provider_logmigrate.core.clock import Clock, Stop
from airflow_provider_logmigrate.core.guard import SourceGuard
from airflow_provider_logmigrate.core.ports import CopyLimits
from airflow_provider_logmigrate.core.throttle import Bounds, RateLimit, Sent, Window, adapt

PAGE_SECONDS = 10.0
"""How long a rate limit may keep a statement of the source open."""

_log = logging.getLogger(__name__)


class Pace:
    """How fast a copying task goes, and why. Thread-safe.

    :param limits: bounds of the window, and the rate limits.
    :param clock: looked at only for rate limits.
    :param guard: spares the source; ``None`` if nothing is to be watched.
    """

    def __init__(
        self, *, limits: CopyLimits, clock: Clock, guard: SourceGuard | None = None
    ) -> None:
        self._bounds = Bounds(limits.in_flight, limits.chunk_bytes)
        self._window = Window.of(self._bounds)
        self._rate = RateLimit(limits.documents_per_second, limits.bytes_per_second)
        self._clock, self._guard = clock, guard
        self._lock = threading.Lock()
        self._due = clock.monotonic() if self._rate.is_set else 0.0
        self._per_document: float | None = None
        self._pressure = self._limited = ""

    @property
    def window(self) -> Window:
        """What is allowed now."""
        return self._window

    def in_flight(self) -> int:
        """Bulks allowed at the same time."""
        return self._window.in_flight

    def chunk_bytes(self) -> int:
        """Size at which a body is closed: the window's, and about what may go in a second.

        How large documents are is known after the first chunk: with a limit of documents that one
        is as small as bodies get.
        """
        size = self._window.chunk_bytes
        allowed = self._rate.bytes_in(1.0, per_document=self._per_document)
        return size if allowed is None else min(size, max(self._bounds.smallest, int(allowed)))

    def page_rows(self) -> int | None:
        """Most rows of a page: what may go in ten seconds; ``None`` without limits."""
        allowed = self._rate.documents_in(PAGE_SECONDS, per_document=self._per_document)
        return None if allowed is None else max(1, int(allowed))

    def before_page(self, stop: Stop, where: str) -> None:
        """Hold the reader while the source has to be spared; see :class:`SourceGuard`."""
        if self._guard is not None:
            self._guard.before_page(stop, where)

    def before_chunk(self, *, documents: int, size: int, stop: Stop, where: str) -> None:
        """Hold a chunk back until the limits let it go. :raises Interrupted: ``stop`` was set."""
        if not self._rate.is_set:
            return
        with self._lock:
            if documents:
                self._per_document = size / documents
            wait, self._due, reason = self._rate.delay(
                at=self._clock.monotonic(), due=self._due, documents=documents, size=size
            )
            self._limited = reason
        if wait:
            stop.wait(wait, where)

    def sent(self, sent: Sent, where: str) -> None:
        """Learn from a bulk that came back; a change is logged with its reason."""
        with self._lock:
            before = self._window
            self._window, reason = adapt(before, sent, self._bounds)
            lowered = self._window.is_lowered(self._bounds)
            self._pressure = (reason or self._pressure) if lowered else ""
            line = self._window.line(self._bounds)
            if (before.in_flight, before.chunk_bytes) != (
                self._window.in_flight,
                self._window.chunk_bytes,
            ):
                _log.info("%s: %s: %s", where, line, reason or "the target is quiet")

    def note(self) -> str:
        """Why the copy is slower than it could be, empty if nothing holds it."""
        with self._lock:
            pressure, limited = self._pressure, self._limited
            line = self._window.line(self._bounds)
        reasons = [
            self._guard.note if self._guard is not None else "",
            f"{line}: {pressure}" if pressure else "",
            limited,
        ]
        return "; ".join(reason for reason in reasons if reason)
