"""Rows of all tenants in the order of their places, each rendered for its own unit."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.chunk import Chunk, Chunker
from airflow_provider_logmigrate.core.ports import SourceFinding
from airflow_provider_logmigrate.core.sweep import Place
from airflow_provider_logmigrate.core.sweep_ports import Find, MixedChunk, OpenUnit, UnitFinding
from airflow_provider_logmigrate.stores.postgres.offload import ContentReader, OffloadResolver
from airflow_provider_logmigrate.stores.postgres.render import (
    DELIMITER,
    QUOTE,
    RowRenderer,
    unquote_first,
)
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql

MOST_ROUTES = 20_000
"""Days of tenants whose unit is kept at hand: about 10 MB."""

OTHER_TENANT = "other_tenant"
"""The row's tenant isn't in the migration."""
OUT_OF_RANGE = "out_of_range"
"""Its event time is out of the migration's range, or unknown."""
PENDING = "pending"
"""It is younger than the settle lag."""
HELD_BACK = "held_back"
"""It isn't settled."""
NOT_PLANNED = "not_planned"
"""Its unit isn't in the plan: copied before, or new since."""
LEFT = "left"
"""Its unit was left to its tenant's own backfill."""

REASONS = {b"t": OTHER_TENANT, b"r": OUT_OF_RANGE, b"p": PENDING, b"h": HELD_BACK}
"""Letters that stand in the place of a row's day."""


@dataclass(slots=True, eq=False)
class _Route:
    """A unit, and what renders its rows.

    :param version: of the documents, as the renderer has been told.
    """

    unit: OpenUnit
    renderer: RowRenderer
    version: int = -1


class RoutedRows:
    """The file-like object that COPY writes a sweep's rows into.

    Each row starts with its place, its day (or the letter of a reason) and its tenant; the rest is
    what :class:`RowRenderer` takes, of which each unit has its own: so a sweep's documents are
    those of any other read to the byte.

    :param after: everything up to this place was read before.
    :param tenants: as the column prints them -> as the migration names them.
    :param monthly: units are months, not days.
    :param emit: receives chunks, whose cursor is the place of the last row they account for.
    """

    def __init__(
        self,
        rows: RowSql,
        *,
        after: Place,
        tenants: Mapping[str, str],
        monthly: bool,
        find: Find,
        emit: Callable[[MixedChunk], None],
        report: Callable[[UnitFinding], None],
        chunk_bytes: Callable[[], int],
        content: ContentReader,
        inline_limit: int,
    ) -> None:
        self._rows, self._monthly = rows, monthly
        self._tenants = {stored.encode(): tenant for stored, tenant in tenants.items()}
        self._find, self._emit, self._report = find, emit, report
        self._content, self._inline_limit = content, inline_limit
        self._chunker = Chunker(self._cut, max_bytes=chunk_bytes)
        self._place = str(after).encode()
        self._version = 0
        self._routes: dict[tuple[bytes, bytes], _Route | None] = {}
        self._by_unit: dict[int, _Route] = {}
        self._units: array[int] = array("I")
        self._skipped: Counter[str] = Counter()
        self._sequence = 0
        self.rows_seen = 0
        self.bytes_seen = 0

    @property
    def place(self) -> Place:
        """Where the last row lies that was taken."""
        return Place.parse(self._place.decode())

    def begin_page(self, version: int) -> None:
        """Set the version of the documents that follow, in microseconds since 1970."""
        self._version = version

    def end_page(self, end: int) -> None:
        """Everything before this block was taken: hand over what there is, and the position."""
        self._place = str(Place(end)).encode()
        before = self._sequence
        self._chunker.cut(None)
        if self._sequence == before:
            self._cut(Chunk(0, b"", array("Q"), (), None))

    def write(self, row: bytes) -> None:
        """Take one row; COPY's protocol sends exactly one per call."""
        place, day, rest = row.split(DELIMITER, 2)
        self.rows_seen += 1
        if len(day) == 1:
            self._place = place
            self._skipped[REASONS[day]] += 1
            return
        if rest[:1] == QUOTE:
            tenant, end = unquote_first(rest)
            document = rest[end:]
        else:
            tenant, _, document = rest.partition(DELIMITER)
        try:
            route = self._routes[tenant, day]
        except KeyError:
            route = self._route(tenant, day)
        self._place = place
        if route is None or route.unit.left:
            self._skipped[NOT_PLANNED if route is None else LEFT] += 1
            return
        if route.version != self._version:
            route.renderer.begin_page(version=self._version, cut_anywhere=False)
            route.version = self._version
        self.bytes_seen += len(document)
        self._units.append(route.unit.number)
        route.renderer.write(document)

    def _route(self, tenant: bytes, day: bytes) -> _Route | None:
        if len(self._routes) >= MOST_ROUTES:
            self._routes.clear()
            self._by_unit.clear()
        label = day.decode()
        named = self._tenants.get(tenant)  # None: equal by the column's collation only
        unit = self._find(named, label[:7] if self._monthly else label) if named else None
        route = None
        if unit is not None:
            route = self._by_unit.get(unit.number)
            if route is None:
                route = self._by_unit[unit.number] = _Route(unit, self._renderer(unit))
        self._routes[tenant, day] = route
        return route

    def _renderer(self, unit: OpenUnit) -> RowRenderer:
        def report(found: SourceFinding) -> None:
            self._report(UnitFinding(found.kind, found.key, found.detail, unit=unit))

        resolver = OffloadResolver(self._content, inline_limit=self._inline_limit, report=report)
        return RowRenderer(
            self._rows,
            framing=unit.framing,
            chunker=self._chunker,
            resolve=resolver if self._rows.offloaded is not None else None,
            report=report,
        )

    def _cut(self, chunk: Chunk) -> None:
        units, self._units = self._units, array("I")
        skipped, self._skipped = self._skipped, Counter()
        sequence, self._sequence = self._sequence, self._sequence + 1
        self._emit(
            MixedChunk(
                sequence=sequence,
                body=chunk.body,
                offsets=chunk.offsets,
                keys=chunk.keys,
                cursor=Cursor("place", self._place.decode()),
                units=units,
                skipped=skipped,
            )
        )
