"""Chunks: bytes ready for the target, bounded by size, with the cursor behind their last row."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from airflow_provider_logmigrate.core.checkpoint import Cursor


@dataclass(frozen=True, slots=True)
class Chunk:
    """Framed documents in one buffer.

    :param sequence: position in the unit's stream of chunks, from 0.
    :param body: the documents' bytes, one after another, each framed for the target.
    :param offsets: start of each document in ``body``; the end of the last is ``len(body)``.
    :param keys: each document's key, for dead letters.
    :param cursor: position behind the last row; ``None`` if this chunk ends between positions
        that are safe to resume from.
    """

    sequence: int
    body: bytes
    offsets: array[int]
    keys: tuple[str, ...]
    cursor: Cursor | None

    @property
    def count(self) -> int:
        """Number of documents."""
        return len(self.keys)

    def document(self, position: int) -> bytes:
        """The framed bytes of one document."""
        last = position + 1 == len(self.offsets)
        end = len(self.body) if last else self.offsets[position + 1]
        return self.body[self.offsets[position] : end]

    def subset(self, positions: Iterable[int]) -> Chunk:
        """A chunk of some documents only: what a partial retry or a split sends."""
        chosen = list(positions)
        return _joined(
            self.sequence,
            [self.document(position) for position in chosen],
            [self.keys[position] for position in chosen],
            self.cursor,
        )


def _joined(
    sequence: int, documents: Sequence[bytes], keys: Sequence[str], cursor: Cursor | None
) -> Chunk:
    starts = accumulate(map(len, documents[:-1]), initial=0)
    offsets = array("Q", starts if documents else ())
    return Chunk(sequence, b"".join(documents), offsets, tuple(keys), cursor)


class Chunker:
    """Cuts a stream of framed documents into chunks bounded by bytes and by count.

    Memory is one chunk plus one document, and twice that for the moment in which the chunk's
    documents are joined, whatever the rows' sizes.

    :param emit: receives each chunk in order; may block (back-pressure).
    :param max_bytes: size at which a chunk is closed; one document may exceed it. A function is
        asked anew when a chunk is begun, so that the size can follow the target's pressure.
    :param max_count: most documents in one chunk.
    """

    __slots__ = (
        *("_ask", "_documents", "_emit", "_emitted", "_keys", "_max_bytes", "_max_count"),
        *("_sequence", "_size"),
    )

    def __init__(
        self,
        emit: Callable[[Chunk], None],
        *,
        max_bytes: int | Callable[[], int],
        max_count: int = 20_000,
    ) -> None:
        self._emit = emit
        self._ask: Callable[[], int] = max_bytes if callable(max_bytes) else lambda: max_bytes
        self._max_count = max_count
        self._sequence = self._emitted = 0
        self._documents: list[bytes] = []
        self._keys: list[str] = []
        self._size = 0
        self._max_bytes = self._ask()

    @property
    def rows(self) -> int:
        """Documents taken so far."""
        return self._emitted + len(self._keys)

    def add(self, document: bytes, key: str) -> bool:
        """Take one framed document; True when the chunk is full and wants :meth:`cut`."""
        self._documents.append(document)
        self._keys.append(key)
        self._size += len(document)
        return self._size >= self._max_bytes or len(self._keys) >= self._max_count

    def cut(self, cursor: Cursor | None) -> None:
        """Emit what is collected, if anything, with the cursor behind its last row."""
        if not self._keys:
            return
        chunk = _joined(self._sequence, self._documents, self._keys, cursor)
        self._sequence += 1
        self._emitted += chunk.count
        self._documents, self._keys, self._size = [], [], 0  # let go before a wait for room
        self._emit(chunk)
        self._max_bytes = self._ask()  # behind that wait: the newest limit counts
