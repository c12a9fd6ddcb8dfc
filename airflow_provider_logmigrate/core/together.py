"""Several things at once, in threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
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


def side_by_side(work: Callable[[A], B], items: Iterable[A], *, most: int) -> Iterator[B]:
    """What ``work`` makes of each item, as it comes; an item is taken when it can begin.

    After an error nothing new begins; it is raised when what was under way has ended.

    :param most: items under way at a time.
    """
    under_way: set[Future[B]] = set()
    with ThreadPoolExecutor(max_workers=most) as pool:
        for item in items:
            under_way.add(pool.submit(work, item))
            if len(under_way) == most:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from [future.result() for future in done]
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            yield from [future.result() for future in done]
