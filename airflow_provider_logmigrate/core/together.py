"""Two things at once: one in a thread beside the caller's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

_log = logging.getLogger(__name__)


def both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """Results of two functions that need nothing of each other and wait for different servers.

    Returns or raises when both have ended. If both fail, the first one's error is raised and the
    second one's is logged, whichever came earlier.

    :param first: runs in the calling thread.
    :param second: runs beside it.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        beside = pool.submit(second)
        try:
            result = first()
        except BaseException:
            if (error := beside.exception()) is not None:
                _log.error("At the same time: %s", error, exc_info=error)
            raise
        return result, beside.result()
