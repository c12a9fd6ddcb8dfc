"""Connections to a PostgreSQL source, kept and opened again."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE as IDLE
from psycopg2.extensions import connection as PgConnection

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import LogMigrateError, SourceUnavailable
from airflow_provider_logmigrate.stores.postgres.faults import explain

T = TypeVar("T")

_TEXT_FORMS = {
    # Text output decides documents and fingerprints: both sides of every comparison pin it.
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "jit": "off",
    # Rows a policy hides would look like rows that aren't there: an error is right instead.
    "row_security": "off",
}
BY_HAND = tuple(f"SET {name} = '{value}'" for name, value in _TEXT_FORMS.items())
"""The same as statements, for people who repeat a query in a shell of their own."""
PAGE_PLAN = {"enable_sort": "off", "enable_bitmapscan": "off", "enable_seqscan": "off"}
"""Keeps page queries on their index: the planner otherwise sorts the whole rest of the range for
each page (measured: 2 to 8 times slower)."""


@dataclass(frozen=True, slots=True)
class PostgresEndpoint:
    """Where a source is. The password stays out of ``repr``.

    :param options: further libpq parameters (sslmode, sslrootcert, ...).
    :param statement_timeout: seconds any single statement may take.
    :param label: what errors call this source, for example the Airflow connection id.
    """

    host: str
    port: int
    user: str
    dbname: str
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    statement_timeout: float = 300.0
    connect_timeout: float = 10.0
    label: str = "postgres"


class Session:
    """One connection that is opened when needed and opened again after it broke.

    :param kept: an idle connection to begin with. It may have died unnoticed since it was last
        used, so its loss isn't held against the source: a new one is opened at once.
    """

    def __init__(
        self,
        *,
        kept: PgConnection | None,
        connect: Callable[[], PgConnection],
        explain: Callable[[psycopg2.Error], LogMigrateError],
        delays: Callable[[], Iterator[float]],
        stop: Stop,
        label: str,
    ) -> None:
        self._connect, self._explain, self._delays = connect, explain, delays
        self._stop, self._label = stop, label
        self._connection = kept
        self._unsure = kept is not None

    def run(
        self, work: Callable[[PgConnection], T], *, progress: Callable[[], int] | None = None
    ) -> T:
        """Run ``work``; again, after a delay, when the failure passes.

        ``work`` must be repeatable: it is started anew after a lost connection or a query that a
        read replica cancelled.

        :param progress: how far ``work`` is, if it goes on where it broke off: only failures
            without progress in between use up the retries.
        :raises SourceUnavailable: the retries are used up.
        """
        delays = self._delays()
        before = progress() if progress else 0
        while True:
            try:
                return self._once(work)
            except SourceUnavailable:
                unsure = self._unsure and self._connection is not None and self._connection.closed
                self.close()
                if unsure:
                    continue
                if progress is not None and progress() != before:
                    delays, before = self._delays(), progress()
                delay = next(delays, None)
                if delay is None:
                    raise
            self._stop.wait(delay, self._label)

    def _once(self, work: Callable[[PgConnection], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
        try:
            result = work(self._connection)
        except psycopg2.Error as error:
            raise self._explain(error) from error
        self._unsure = False
        return result

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._unsure = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def release(self) -> PgConnection | None:
        """Give up the connection to somebody else; ``None`` if it isn't fit for use."""
        connection, self._connection = self._connection, None
        if connection is None or connection.closed:
            return None
        # In the middle of a statement, or of a transaction: nobody else's business.
        if not connection.autocommit or connection.info.transaction_status != IDLE:
            connection.close()
            return None
        return connection


class Sessions:
    """Opens connections to one source and retries what passes by itself. Thread-safe.

    :param rng: jitter of retry delays.
    :param keep: connections of each kind of settings that stay open for the next session; then
        :meth:`close` is the owner's duty.
    """

    def __init__(
        self,
        endpoint: PostgresEndpoint,
        *,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
        keep: int = 0,
    ) -> None:
        self.endpoint = endpoint
        self._keep = keep
        self._idle: dict[frozenset[tuple[str, str]], list[PgConnection]] = {}
        self._lock = threading.Lock()
        self._backoff = backoff or Backoff(attempts=4, first=0.5, cap=15)
        self._rng = rng or random.Random()  # noqa: S311 - jitter

    @contextmanager
    def open(self, settings: Mapping[str, str] | None = None) -> Iterator[PgConnection]:
        """A connection in autocommit mode, closed at the end; driver errors become ours."""
        connection = self._connect(settings or {})
        try:
            yield connection
        except psycopg2.Error as error:
            raise self.explain(error) from error
        finally:
            connection.close()

    def run(self, work: Callable[[PgConnection], T]) -> T:
        """Run ``work`` in a session of its own; see :meth:`Session.run`."""
        with self.session() as session:
            return session.run(work)

    @contextmanager
    def session(
        self, settings: Mapping[str, str] | None = None, *, stop: Stop | None = None
    ) -> Iterator[Session]:
        """One connection for many short statements, opened again when it breaks."""
        delays = self._backoff
        kind = frozenset((settings or {}).items())
        with self._lock:
            idle = self._idle.get(kind)
            kept = idle.pop() if idle else None
        session = Session(
            kept=kept,
            connect=lambda: self._connect(settings or {}),
            explain=self.explain,
            delays=lambda: delays.delays(self._rng),
            stop=stop or Stop(),
            label=self.endpoint.label,
        )
        try:
            yield session
        finally:
            self._take_back(session, kind)

    def close(self) -> None:
        """Close the idle connections. Those in use are closed when their sessions end."""
        with self._lock:
            self._keep = 0
            idle = [connection for kind in self._idle.values() for connection in kind]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _take_back(self, session: Session, kind: frozenset[tuple[str, str]]) -> None:
        connection = session.release()
        if connection is None:
            return
        with self._lock:
            idle = self._idle.setdefault(kind, [])
            if kept := len(idle) < self._keep:
                idle.append(connection)
        if not kept:
            connection.close()

    def _connect(self, settings: Mapping[str, str]) -> PgConnection:
        end = self.endpoint
        pinned = _TEXT_FORMS | {
            "statement_timeout": str(int(end.statement_timeout * 1000)),
            **settings,
        }
        parameters: dict[str, Any] = {
            "host": end.host,
            "port": end.port,
            "user": end.user,
            "password": end.password,
            "dbname": end.dbname,
            "client_encoding": "UTF8",
            "application_name": "logmigrate",
            "connect_timeout": max(2, math.ceil(end.connect_timeout)),  # 0 would mean for ever
            # A peer that vanished without a word is noticed within a minute.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        } | dict(end.options)
        connection: PgConnection | None = None
        try:
            connection = psycopg2.connect(**parameters)
            connection.autocommit = True
            # SET instead of libpq's ``options``: connection poolers refuse the latter.
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config(name, value, false) FROM unnest(%s, %s) AS s(name, value)",
                    (list(pinned), list(pinned.values())),
                )
        except psycopg2.Error as error:
            if connection is not None:
                connection.close()
            raise self.explain(error) from error
        return connection

    def explain(self, error: psycopg2.Error) -> LogMigrateError:
        """Our error for a driver's error, see :func:`faults.explain`."""
        return explain(error, where=f"{self.endpoint.label}, database {self.endpoint.dbname}")
