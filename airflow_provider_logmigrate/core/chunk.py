"""Chunks: bytes ready for the target, bounded by size, with the cursor behind their last row."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

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
        builder = _Builder()
        for position in chosen:
            builder.add(self.document(position), self.keys[position])
        return builder.build(self.sequence, self.cursor)


class _Builder:
    """Collects framed documents until somebody takes them as a chunk."""

    __slots__ = ("_keys", "_offsets", "_parts", "size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._keys: list[str] = []
        self._offsets: array[int] = array("Q")
        self.size = 0

    def add(self, document: bytes, key: str) -> None:
        self._offsets.append(self.size)
        self._parts.append(document)
        self._keys.append(key)
        self.size += len(document)

    @property
    def count(self) -> int:
        return len(self._keys)

    def build(self, sequence: int, cursor: Cursor | None) -> Chunk:
        return Chunk(sequence, b"".join(self._parts), self._offsets, tuple(self._keys), cursor)


class Chunker:
    """Cuts a stream of framed documents into chunks bounded by bytes and by count.

    Memory is one chunk plus one document, and twice that for the moment in which the chunk's
    documents are joined, whatever the rows' sizes.

    :param emit: receives each chunk in order; may block (back-pressure).
    :param max_bytes: size at which a chunk is closed; one document may exceed it.
    :param max_count: most documents in one chunk.
    """

    __slots__ = ("_builder", "_emit", "_max_bytes", "_max_count", "_sequence", "rows")

    def __init__(
        self, emit: Callable[[Chunk], None], *, max_bytes: int, max_count: int = 20_000
    ) -> None:
        self._emit = emit
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._builder = _Builder()
        self._sequence = 0
        self.rows = 0

    def add(self, document: bytes, key: str) -> bool:
        """Take one framed document; True when the chunk is full and wants :meth:`cut`."""
        self._builder.add(document, key)
        self.rows += 1
        return self._builder.size >= self._max_bytes or self._builder.count >= self._max_count

    def cut(self, cursor: Cursor | None) -> None:
        """Emit what is collected, if anything, with the cursor behind its last row."""
        if not self._builder.count:
            return
        chunk = self._builder.build(self._sequence, cursor)
        self._builder = _Builder()
        self._sequence += 1
        self._emit(chunk)
