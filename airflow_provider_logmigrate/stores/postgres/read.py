"""The three read strategies. Each resumes behind its cursor and holds no long transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.ports import ReadRequest, TimeRange
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.stores.postgres.by_parent import children, parents, without_parent
from airflow_provider_logmigrate.stores.postgres.page_size import PageSize
from airflow_provider_logmigrate.stores.postgres.render import COPY_OPTIONS, RowRenderer, no_key
from airflow_provider_logmigrate.stores.postgres.row_query import copied, page_query, row_condition
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql
from airflow_provider_logmigrate.stores.postgres.session import PAGE_PLAN, Session, Sessions

KEYS_PER_SCAN = 200_000
"""Keys listed by one scan of a table without a usable index: about 50 MB of memory."""
FIRST_PAGE_ROWS = 500
ROWS_PER_KEY_PAGE = 2_000
FIRST_PARENTS, PARENTS_PER_BATCH = 20, 200

_ANY = sql.SQL("true")
_PARENTS, _ORPHANS = "parents ", "orphans "
"""Marks of ``by_parent`` cursors. Their positions mean nothing to the other strategies, and a
strategy may change between attempts: an index was built, say."""


class Reader:
    """Reads the ranges of one request into a renderer.

    :param page_rows: rows of one COPY at most; 5,000 to 20,000 make no difference, 500 cost a
        quarter. Pages of large rows are shorter, see :class:`PageSize`.
    """

    def __init__(
        self, sessions: Sessions, rows: RowSql, renderer: RowRenderer, *, page_rows: int, stop: Stop
    ) -> None:
        self._sessions = sessions
        self._rows = rows
        self._renderer = renderer
        self._page_rows = page_rows
        self._stop = stop
        self._spare: Callable[[], None] | None = None
        self._bound: Callable[[], int | None] | None = None

    def read(self, request: ReadRequest) -> None:
        """Read every range; the cursor belongs to the first range that isn't behind it.

        A cursor of a strategy that positions differently is left aside: the range is read anew.
        """
        strategy, unit, after = request.plan.strategy, request.plan.unit, request.after
        self._spare = request.before_page
        self._bound = request.page_rows
        self._rows.tenant(unit.tenant)  # a tenant that can't be is told before anything is read
        walks = strategy is ReadStrategy.KEYSET and request.keys is None
        settings = PAGE_PLAN if walks else None
        with self._sessions.session(settings, stop=self._stop) as session:
            for part in request.ranges:
                if request.keys is not None:
                    self._given_keys(session, unit, part, request.keys)
                elif strategy is ReadStrategy.KEYSET:
                    self._by_keyset(session, unit, part, _row_position(after))
                elif strategy is ReadStrategy.BY_PARENT and not request.repair:
                    self._by_parent(session, unit, part, after)
                else:
                    self._by_key(session, unit, part, _row_position(after))
            self._renderer.finish()

    def _by_keyset(
        self, session: Session, unit: Unit, part: TimeRange, after: Cursor | None
    ) -> None:
        size = PageSize(first=FIRST_PAGE_ROWS, most=self._page_rows, bound=self._bound)
        position = after
        while True:
            self._before_page(unit.key)
            rows, bytes_ = self._renderer.rows_seen, self._renderer.bytes_seen
            limit = size.rows
            page = partial(
                self._keyset_page, unit=unit, part=part, after=position, start=rows, limit=limit
            )
            session.run(page, progress=self._rows_seen)
            got = self._renderer.rows_seen - rows
            if got < limit:
                return
            moved = self._renderer.last
            if moved is None or moved == position:
                raise AssertionError(f"the page cursor of {unit.key} did not move")
            position = moved
            size.observe(rows=got, size=self._renderer.bytes_seen - bytes_)

    def _keyset_page(
        self,
        connection: PgConnection,
        *,
        unit: Unit,
        part: TimeRange,
        after: Cursor | None,
        start: int,
        limit: int,
    ) -> None:
        """One page, or what is missing of it after it broke off: no row is read twice."""
        got = self._renderer.rows_seen - start
        if got < limit:
            position = self._renderer.last if got else after
            condition = row_condition(self._rows, unit.tenant, part, position)
            query = page_query(self._rows, condition, limit=limit - got)
            self._copy(connection, query, whole_rows=True)

    def _by_key(
        self,
        session: Session,
        unit: Unit,
        part: TimeRange,
        after: Cursor | None,
        *,
        extra: sql.Composable = _ANY,
    ) -> None:
        size = PageSize(first=FIRST_PAGE_ROWS, most=ROWS_PER_KEY_PAGE, bound=self._bound)
        position = after
        while True:
            self._before_page(unit.key)
            listed = session.run(
                partial(self._list_keys, unit=unit, part=part, position=position, extra=extra)
            )
            for page in _batches(listed, size):
                self._before_page(unit.key)
                bytes_ = self._renderer.bytes_seen
                self._copy_keys(session, unit, part, [key for _, key in page])
                size.observe(rows=len(page), size=self._renderer.bytes_seen - bytes_)
            if len(listed) < KEYS_PER_SCAN:
                return
            position = Cursor(*listed[-1])

    def _given_keys(
        self, session: Session, unit: Unit, part: TimeRange, keys: Sequence[str]
    ) -> None:
        """Rows that are known by their keys; those that aren't there any more are left out."""
        size = PageSize(first=FIRST_PAGE_ROWS, most=ROWS_PER_KEY_PAGE, bound=self._bound)
        for page in _batches((("", key) for key in self._rows.possible_keys(keys)), size):
            self._before_page(unit.key)
            bytes_ = self._renderer.bytes_seen
            self._copy_keys(session, unit, part, [key for _, key in page])
            size.observe(rows=len(page), size=self._renderer.bytes_seen - bytes_)

    def _list_keys(
        self,
        connection: PgConnection,
        unit: Unit,
        part: TimeRange,
        position: Cursor | None,
        extra: sql.Composable,
    ) -> list[tuple[str, str]]:
        query = sql.SQL(
            "SELECT {at}::timestamptz::text, {key}::text FROM {table} WHERE {condition}"
            " AND {extra} ORDER BY {order} LIMIT {limit}"
        ).format(
            at=self._rows.event_time,
            key=self._rows.key,
            table=self._rows.with_parent,
            condition=row_condition(self._rows, unit.tenant, part, position),
            extra=extra,
            order=self._rows.order,
            limit=sql.Literal(KEYS_PER_SCAN),
        )
        with connection.cursor() as cursor:
            cursor.execute(query)
            listed = cursor.fetchall()
        if any(key is None for _, key in listed):
            raise no_key(self._rows.stream.table)
        return listed

    def _copy_keys(self, session: Session, unit: Unit, part: TimeRange, keys: list[str]) -> None:
        start = self._renderer.rows_seen

        def page(connection: PgConnection) -> None:
            broke_off = self._renderer.rows_seen > start
            left = keys[keys.index(self._renderer.last_key) + 1 :] if broke_off else keys
            # Sorted before the fields are made: the sort holds pointers to large values then.
            chosen = sql.SQL(
                "(SELECT w.* FROM {table}"
                " JOIN unnest({keys}::{type}[]) WITH ORDINALITY AS k(key, n) ON {key} = k.key"
                " WHERE {condition} ORDER BY k.n OFFSET 0) AS w OFFSET 0"
            ).format(
                table=self._rows.with_parent,
                keys=sql.Literal(left),
                type=sql.SQL(self._rows.key_type),
                key=self._rows.key,
                condition=row_condition(self._rows, unit.tenant, part, None),
            )
            self._copy(connection, copied(self._rows, chosen), whole_rows=True)

        session.run(page, progress=self._rows_seen)

    def _by_parent(
        self, session: Session, unit: Unit, part: TimeRange, after: Cursor | None
    ) -> None:
        parent = self._rows.stream.parent
        if parent is None:
            raise AssertionError(f"{unit.key} was planned by_parent without a parent")
        condition = row_condition(self._rows, unit.tenant, part, None)
        orphans_after = _marked(after, _ORPHANS)
        if orphans_after is None:
            size = PageSize(first=FIRST_PARENTS, most=PARENTS_PER_BATCH, bound=self._bound)
            listed = parents(
                *(session, self._rows, parent),
                tenant=unit.tenant,
                part=part,
                after=_marked(after, _PARENTS),
            )
            for batch in _batches(listed, size):
                self._before_page(unit.key)
                bytes_ = self._renderer.bytes_seen
                chosen = sql.SQL("{} WHERE {} AND {} OFFSET 0").format(
                    self._rows.with_parent,
                    children(self._rows, parent, [key for _, key in batch]),
                    condition,
                )
                query = copied(self._rows, chosen)
                # A broken batch is read again from its start: documents are idempotent.
                session.run(partial(self._copy, query=query, whole_rows=False))
                at, key = batch[-1]
                self._renderer.end_batch(Cursor(_PARENTS + at, key))
                size.observe(rows=len(batch), size=self._renderer.bytes_seen - bytes_)
        self._renderer.cursor_prefix = _ORPHANS
        self._by_key(session, unit, part, orphans_after, extra=without_parent(parent))

    def _before_page(self, where: str) -> None:
        self._stop.check(where)
        if self._spare is not None:
            self._spare()

    def _rows_seen(self) -> int:
        return self._renderer.rows_seen

    def _copy(self, connection: PgConnection, query: sql.Composable, *, whole_rows: bool) -> None:
        with connection.cursor() as cursor:
            # Taken before the statement's snapshot: content is never older than its version.
            cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint")
            found = cursor.fetchone()
            self._renderer.begin_page(version=found[0] if found else 0, cut_anywhere=whole_rows)
            cursor.copy_expert(
                sql.SQL("COPY ({}) TO STDOUT {}").format(query, sql.SQL(COPY_OPTIONS)),
                self._renderer,
            )


def _row_position(after: Cursor | None) -> Cursor | None:
    """The cursor, if it is a row's."""
    return None if after is None or after.event_time.startswith((_PARENTS, _ORPHANS)) else after


def _marked(after: Cursor | None, mark: str) -> Cursor | None:
    """The cursor without its mark, if it has that mark."""
    if after is None or not after.event_time.startswith(mark):
        return None
    return Cursor(after.event_time.removeprefix(mark), after.key)


def _batches(listed: Iterable[tuple[str, str]], size: PageSize) -> Iterator[list[tuple[str, str]]]:
    """Batches of the size wanted at the time each begins."""
    batch: list[tuple[str, str]] = []
    for item in listed:
        batch.append(item)
        if len(batch) >= size.rows:
            yield batch
            batch = []
    if batch:
        yield batch
