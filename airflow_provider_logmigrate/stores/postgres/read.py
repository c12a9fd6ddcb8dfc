"""The three read strategies. Each resumes behind its cursor and holds no long transaction."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.checkpoint import Cursor
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.ports import ReadRequest, TimeRange
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.stores.postgres.catalog import identifier
from airflow_provider_logmigrate.stores.postgres.render import COPY_OPTIONS, RowRenderer
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql, col
from airflow_provider_logmigrate.stores.postgres.session import PAGE_PLAN, Session, Sessions

KEYS_PER_SCAN = 200_000
"""Keys listed by one scan of a table without a usable index: 17 MB of memory, one scan each."""
ROWS_PER_KEY_PAGE = 2_000
PARENTS_PER_BATCH = 200
PARENT_SLACK = "1 day"
"""A child may be written this long after its parent ended; later ones are found by the proof."""


_ANY = sql.SQL("true")


class Reader:
    """Reads the ranges of one request into a renderer.

    :param page_rows: rows of one COPY; 5,000 to 20,000 make no difference, 500 cost a quarter.
    """

    def __init__(
        self, sessions: Sessions, rows: RowSql, renderer: RowRenderer, *, page_rows: int, stop: Stop
    ) -> None:
        self._sessions = sessions
        self._rows = rows
        self._renderer = renderer
        self._page_rows = page_rows
        self._stop = stop

    def read(self, request: ReadRequest) -> None:
        """Read every range; the cursor belongs to the first range that isn't behind it."""
        strategy, unit, after = request.plan.strategy, request.plan.unit, request.after
        settings = PAGE_PLAN if strategy is ReadStrategy.KEYSET else None
        with self._sessions.session(settings, stop=self._stop) as session:
            for part in request.ranges:
                if strategy is ReadStrategy.KEYSET:
                    self._by_keyset(session, unit, part, after)
                elif strategy is ReadStrategy.BY_PARENT and not request.repair:
                    self._by_parent(session, unit, part, after)
                else:
                    self._by_key(session, unit, part, after)
            self._renderer.finish()

    def _by_keyset(
        self, session: Session, unit: Unit, part: TimeRange, after: Cursor | None
    ) -> None:
        self._renderer.last = None

        def pages(connection: PgConnection) -> None:
            # Resumes behind the last row received, so a page that broke off isn't repeated.
            position = self._renderer.last or after
            while True:
                self._stop.check(unit.key)
                seen = self._renderer.rows_seen
                self._copy(connection, self._page(unit, part, position), whole_rows=True)
                if self._renderer.rows_seen - seen < self._page_rows:
                    return
                moved = self._renderer.last
                if moved is None or moved == position:
                    raise AssertionError(f"the page cursor of {unit.key} did not move")
                position = moved

        session.run(pages)

    def _page(self, unit: Unit, part: TimeRange, position: Cursor | None) -> sql.Composable:
        return page_query(
            self._rows,
            self._condition(unit, part, position),
            fields=self._fields(),
            limit=self._page_rows,
        )

    def _by_key(
        self,
        session: Session,
        unit: Unit,
        part: TimeRange,
        after: Cursor | None,
        *,
        extra: sql.Composable = _ANY,
        cuts: bool = True,
    ) -> None:
        position = after
        while True:
            listed = session.run(
                partial(self._list_keys, unit=unit, part=part, position=position, extra=extra)
            )
            for start in range(0, len(listed), ROWS_PER_KEY_PAGE):
                self._stop.check(unit.key)
                page = [key for _, key in listed[start : start + ROWS_PER_KEY_PAGE]]
                self._copy_keys(session, page, cuts=cuts)
            if len(listed) < KEYS_PER_SCAN:
                return
            position = Cursor(*listed[-1])

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
            table=self._rows.table,
            condition=self._condition(unit, part, position),
            extra=extra,
            order=self._rows.order,
            limit=sql.Literal(KEYS_PER_SCAN),
        )
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def _copy_keys(self, session: Session, keys: list[str], *, cuts: bool) -> None:
        done = self._renderer.rows_seen

        def page(connection: PgConnection) -> None:
            left = keys[self._renderer.rows_seen - done :]
            query = sql.SQL(
                "SELECT {fields} FROM {table}"
                " JOIN unnest({keys}::{type}[]) WITH ORDINALITY AS k(key, n) ON {key} = k.key"
                " WHERE {settled} ORDER BY k.n"
            ).format(
                fields=self._fields(),
                table=self._rows.table,
                keys=sql.Literal(left),
                type=sql.SQL(self._rows.key_type),
                key=self._rows.key,
                settled=self._rows.settled,
            )
            self._copy(connection, query, whole_rows=cuts)

        session.run(page)

    def _by_parent(
        self, session: Session, unit: Unit, part: TimeRange, after: Cursor | None
    ) -> None:
        parent = self._rows.stream.parent
        if parent is None:
            raise AssertionError(f"{unit.key} was planned by_parent without a parent")
        for batch in self._parents(session, unit, part, after):
            self._stop.check(unit.key)
            query = sql.SQL(
                "SELECT {fields} FROM {table} WHERE {child} = ANY({keys}::{type}[])"
                " AND {condition} ORDER BY {order}"
            ).format(
                fields=self._fields(),
                table=self._rows.table,
                child=col(parent.foreign_key),
                keys=sql.Literal([key for _, key in batch]),
                type=sql.SQL(self._rows.shape.column(parent.foreign_key).source_type),
                condition=self._condition(unit, part, None),
                order=self._rows.order,
            )
            # A broken batch is read again from its start: documents are idempotent.
            session.run(partial(self._copy, query=query, whole_rows=False))
            self._renderer.end_batch(Cursor(*batch[-1]))
        orphans = sql.SQL("{} IS NULL").format(col(parent.foreign_key))
        self._by_key(session, unit, part, None, extra=orphans, cuts=False)

    def _parents(
        self, session: Session, unit: Unit, part: TimeRange, after: Cursor | None
    ) -> Iterator[list[tuple[str, str]]]:
        """Batches of (event time, key) of parents whose life touches the range."""
        parent = self._rows.stream.parent
        assert parent is not None
        at, key = sql.Identifier("p", parent.event_time), sql.Identifier("p", parent.key)
        ended = sql.Identifier("p", parent.ended_at) if parent.ended_at else sql.NULL
        position = after
        while True:
            behind = (
                sql.SQL("({}, {}::text) > ({}, {})").format(
                    at, key, self._rows.moment(position.event_time), sql.Literal(position.key)
                )
                if position
                else _ANY
            )
            query = sql.SQL(
                "SELECT {at}::timestamptz::text, {key}::text FROM {parents} AS p"
                " WHERE p.{tenant} = {value} AND {at} < {end}"
                " AND ({at} >= {start} OR {ended} IS NULL"
                " OR {ended} >= {start} - {slack}::interval)"
                " AND {behind}"
                " ORDER BY {at}, {key}::text LIMIT {limit}"
            ).format(
                at=at,
                key=key,
                parents=identifier(parent.table),
                tenant=sql.Identifier(self._rows.stream.tenant_column),
                value=sql.Literal(unit.tenant),
                end=self._rows.moment(part.end),
                start=self._rows.moment(part.start),
                ended=ended,
                slack=sql.Literal(PARENT_SLACK),
                behind=behind,
                limit=sql.Literal(KEYS_PER_SCAN),
            )
            listed = session.run(partial(_fetch, query=query))
            for start in range(0, len(listed), PARENTS_PER_BATCH):
                yield listed[start : start + PARENTS_PER_BATCH]
            if len(listed) < KEYS_PER_SCAN:
                return
            position = Cursor(*listed[-1])

    def _condition(self, unit: Unit, part: TimeRange, position: Cursor | None) -> sql.Composable:
        return row_condition(self._rows, unit.tenant, part, position)

    def _fields(self) -> sql.Composable:
        return copied_fields(self._rows)

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


def _fetch(connection: PgConnection, query: sql.Composable) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def row_condition(
    rows: RowSql, tenant: str, part: TimeRange, position: Cursor | None
) -> sql.Composable:
    """Settled rows of a tenant in a range, behind a position."""
    parts = [rows.within(tenant, part.start, part.end), rows.settled]
    if position is not None:
        parts.append(rows.after(position.event_time, position.key))
    return sql.SQL(" AND ").join(parts)


def copied_fields(rows: RowSql) -> sql.Composable:
    """Key, fingerprint, offload list where there is one, then all columns: what a row carries."""
    fields = [rows.key_value, rows.fingerprint]
    if rows.offloaded is not None:
        fields.append(rows.offloaded)
    fields += [rows.value(column) for column in rows.shape.columns]
    return sql.SQL(", ").join(fields)


def page_query(
    rows: RowSql, condition: sql.Composable, *, fields: sql.Composable, limit: int
) -> sql.Composable:
    """One keyset page."""
    return sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {}").format(
        fields, rows.table, condition, rows.order, sql.Literal(limit)
    )
