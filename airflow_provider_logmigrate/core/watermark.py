"""The contiguous watermark: what is safe when several bulks are in flight."""

from __future__ import annotations

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor


class Watermark:
    """Turns acknowledgements in any order into a position that never skips a chunk.

    A cursor is reached only when its chunk and every earlier one are settled, that is
    acknowledged or in the dead letters. Counters follow the same rule, so a checkpoint never
    claims documents beyond its cursor.
    """

    def __init__(self, cursor: Cursor | None = None, counters: Counters | None = None) -> None:
        self.cursor = cursor
        self.counters = counters or Counters()
        self._next = 0
        self._waiting: dict[int, tuple[Cursor | None, Counters]] = {}
        self._since_cursor = Counters()

    def settle(self, sequence: int, cursor: Cursor | None, counters: Counters) -> bool:
        """Mark one chunk as settled; True if the position moved.

        :raises ValueError: the chunk was settled before.
        """
        if sequence < self._next or sequence in self._waiting:
            raise ValueError(f"chunk {sequence} was settled twice")
        self._waiting[sequence] = (cursor, counters)
        moved = False
        while self._next in self._waiting:
            reached, counted = self._waiting.pop(self._next)
            self._next += 1
            self._since_cursor = self._since_cursor + counted
            if reached is not None:
                self.cursor = reached
                self.counters = self.counters + self._since_cursor
                self._since_cursor = Counters()
                moved = True
        return moved

    @property
    def waiting(self) -> int:
        """Chunks that are settled but have an unsettled one before them."""
        return len(self._waiting)

    @property
    def complete(self) -> Counters:
        """Counters of all contiguous chunks, those behind the last cursor included."""
        return self.counters + self._since_cursor
