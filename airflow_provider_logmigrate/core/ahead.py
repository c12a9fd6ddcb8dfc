"""Working ahead: the next item is made in a thread while the current one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Made(Generic[T]):
    item: T


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None = None


@contextmanager
def ahead(items: Iterable[T], *, name: str) -> Iterator[Iterator[T]]:
    """Iterate in a thread, one item ahead of its use; its error is raised where it is used.

    At the end the thread is waited for: it ends with the item that it is making. Nested in another
    one, the inner one has to end first, as ``with`` does it.
    """
    made: queue.SimpleQueue[_Made[T] | _Ended] = queue.SimpleQueue()
    room = threading.Semaphore(1)
    given_up = threading.Event()

    def make() -> None:
        ended = _Ended()
        try:
            for item in items:
                room.acquire()
                if given_up.is_set():
                    return
                made.put(_Made(item))
        except BaseException as error:  # noqa: BLE001 - raised again by whoever uses the items
            ended = _Ended(error)
        made.put(ended)

    def use() -> Iterator[T]:
        while True:
            found = made.get()
            if isinstance(found, _Ended):
                if found.error is not None:
                    raise found.error
                return
            room.release()
            yield found.item

    thread = threading.Thread(target=make, name=name, daemon=True)
    thread.start()
    try:
        yield use()
    finally:
        given_up.set()
        room.release()
        thread.join()
