"""No test of the core may leave a thread behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from airflow_provider_logmigrate.core import copy


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Whatever way out a copy took, its threads have ended when it returns."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set stop flag is seen after 10 ms instead of 200."""
    monkeypatch.setattr(copy, "POLL_SECONDS", 0.01)
