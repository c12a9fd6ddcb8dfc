"""How much one statement reads."""

from __future__ import annotations

from collections.abc import Callable

PAGE_BYTES = 48 << 20
"""What one statement reads, about: two seconds at the reader's full speed, less than half a minute
at a quarter of what one small node takes."""


class PageSize:
    """How many rows the next statement asks for, so that its answer stays near a number of bytes.

    A statement, and with it a snapshot of the production database, lives until its last row is
    taken, and a slow target holds the reader back. Pages bounded by rows alone would be bounded in
    time only for small rows: 20,000 rows of 5 MB take hours.

    :param first: rows of the first page, when nothing is known of the rows' sizes.
    :param most: rows of a page at most.
    :param bound: another bound that may change, asked for each page; ``None``: none now.
    """

    def __init__(
        self,
        *,
        first: int,
        most: int,
        page_bytes: int = PAGE_BYTES,
        bound: Callable[[], int | None] | None = None,
    ) -> None:
        self._most = most
        self._page_bytes = page_bytes
        self._bound = bound
        self._rows = min(first, most)

    @property
    def rows(self) -> int:
        """Rows of the next page."""
        bound = self._bound() if self._bound is not None else None
        return self._rows if bound is None else max(1, min(self._rows, bound))

    def observe(self, *, rows: int, size: int) -> None:
        """Learn from a page: it had so many rows and bytes."""
        if rows:
            self._rows = max(1, min(self._most, self._page_bytes * rows // max(1, size)))
