"""Time, waiting and stopping as injected parts, so that nothing in the core sleeps by itself."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import Protocol

from airflow_provider_logmigrate.core.errors import Interrupted


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Current time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes back."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Current time in UTC."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """See :func:`time.monotonic`."""
        return time.monotonic()


class Stop:
    """One flag that ends a copy: set by SIGTERM, a lost supervisor, or a failing thread.

    Waiting goes through :meth:`wait`, so a back-off of minutes ends at once when the flag is set.

    :meth:`set` may run in a signal handler, in the middle of any other method of the same thread.
    A ``threading.Event`` deadlocks there: its lock isn't reentrant. Here a closed gate, a plain
    lock, holds up those who wait; opening it never blocks.
    """

    def __init__(self) -> None:
        self._first = threading.Lock()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._set = False
        self.reason = ""

    def set(self, reason: str) -> None:
        """Ask everything to end; the first reason is kept."""
        if self._first.acquire(blocking=False):
            self.reason = reason
            self._set = True
            self._gate.release()

    def is_set(self) -> bool:
        """True once somebody asked to end."""
        return self._set

    def check(self, where: str) -> None:
        """:raises Interrupted: the flag is set."""
        if self._set:
            raise Interrupted(f"stopped: {self.reason}", where=where)

    def wait(self, seconds: float, where: str) -> None:
        """Wait, but not longer than until the flag is set. :raises Interrupted: it was set."""
        if self._gate.acquire(timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX)):
            self._gate.release()  # for whoever else waits
        self.check(where)
