"""Lets so many threads through at once, a number that may change while they run."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Gate:
    """Bounds the senders of a copy.

    A thread enters before it takes its work, so nobody holds work that it may not do yet.

    :param allowed: how many may be inside; asked again whenever somebody leaves.
    """

    def __init__(self, allowed: Callable[[], int]) -> None:
        self._allowed = allowed
        self._inside = 0
        self._open = False
        self._changed = threading.Condition()

    def enter(self) -> None:
        """Wait for a place; at least one thread is always let in."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._open or self._inside == 0 or self._inside < self._allowed()
            )
            self._inside += 1

    def leave(self) -> None:
        """Give the place back, and let those in that are allowed now."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def open(self) -> None:
        """Let everybody through from now on: the copy ends."""
        with self._changed:
            self._open = True
            self._changed.notify_all()
