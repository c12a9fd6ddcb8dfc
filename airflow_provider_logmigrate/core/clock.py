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
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason = ""

    def set(self, reason: str) -> None:
        """Ask everything to end; the first reason is kept."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    def is_set(self) -> bool:
        """True once somebody asked to end."""
        return self._event.is_set()

    def check(self, where: str) -> None:
        """:raises Interrupted: the flag is set."""
        if self._event.is_set():
            raise Interrupted(f"stopped: {self.reason}", where=where)

    def wait(self, seconds: float, where: str) -> None:
        """Wait, but not longer than until the flag is set. :raises Interrupted: it was set."""
        self._event.wait(seconds)
        self.check(where)
