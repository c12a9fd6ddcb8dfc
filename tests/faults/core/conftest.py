"""The same guards as for the core's unit tests."""

from __future__ import annotations

from tests.unit.core.conftest import no_thread_is_left, quick_polls

__all__ = ["no_thread_is_left", "quick_polls"]
