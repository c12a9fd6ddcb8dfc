"""The ledger's database: one small pool, one way to run a transaction.

Opens nothing before the first transaction, so building one while a DAG file is parsed is free.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from airflow_provider_logmigrate.core.errors import ConnectionInvalid
from airflow_provider_logmigrate.ledger.failures import (
    ledger_gone,
    may_pass_at_once,
    translated,
)
from airflow_provider_logmigrate.ledger.schema.upgrade import forget, upgrade

T = TypeVar("T")

APPLICATION_NAME = "logmigrate"
"""How the connections appear in ``pg_stat_activity``."""


class Database:
    """Runs transactions on the ledger and turns database errors into ours.

    :param url: ``postgresql://…`` (or ``postgres://…``), as text or SQLAlchemy URL.
    :param who: the person or task on whose behalf records are written.
    :param timeout_seconds: limit for one statement, and for waiting on a silent server.
    :param connect_seconds: limit for opening a connection.
    :raises ConnectionInvalid: not an address of a PostgreSQL database.
    """

    def __init__(
        self, url: URL | str, *, who: str, timeout_seconds: int = 30, connect_seconds: int = 10
    ) -> None:
        self._url = _postgres(url)
        self.who = who
        self._timeout = timeout_seconds
        self._connect = connect_seconds
        self._engine: Engine | None = None
        self._process = 0
        self._making = threading.Lock()

    @property
    def where(self) -> str:
        """Host, port and database: the ledger's name in messages, without user and password."""
        host = self._url.host or "local socket"
        port = f":{self._url.port}" if self._url.port else ""
        return f"ledger {host}{port}/{self._url.database or ''}"

    def __repr__(self) -> str:
        return f"Database({self.where})"

    @property
    def engine(self) -> Engine:
        """The engine, made at first use."""
        with self._making:
            if self._engine is not None and self._process != os.getpid():
                # After a fork the connections still belong to the parent: leave them to it.
                self._engine.dispose(close=False)
            if self._engine is None:
                self._engine = self._create()
            self._process = os.getpid()
            return self._engine

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction, on a ledger of the right version; commit at its end.

        ``work`` runs a second time after a dropped connection or a deadlock, maybe after a commit
        whose answer was lost, so what it writes must be idempotent.

        :raises LedgerUnavailable: an outage or a time-out.
        :raises ConnectionInvalid: the login or its privileges don't suffice.
        """
        try:
            return self._once(work)
        except SQLAlchemyError as error:
            if ledger_gone(error):
                forget(self.engine)
            elif not may_pass_at_once(error):
                self._raise(error)
        # Once, and without a wait: a server that stays away is for the task's own retry.
        try:
            return self._once(work)
        except SQLAlchemyError as error:
            self._raise(error)

    def _once(self, work: Callable[[Connection], T]) -> T:
        upgrade(self.engine)
        with self.engine.begin() as connection:
            return work(connection)

    def _raise(self, error: SQLAlchemyError) -> NoReturn:
        ours = translated(error, where=self.where, secret=self._url.password or "")
        if ours is None:
            raise error
        # Its reason is in the text; the error itself isn't cleared of secrets.
        raise ours from None

    def close(self) -> None:
        """Close the connections; the next transaction opens new ones."""
        if self._engine is not None and self._process == os.getpid():
            self._engine.dispose()

    def _create(self) -> Engine:
        # Silence from a dead host must end in seconds, not in the kernel's quarter of an hour; an
        # attempt that was frozen inside a transaction must not hold its row against the next one.
        milliseconds = self._timeout * 1000
        settings = {
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
        }
        wanted = self._url.query.get("options", ())
        given = " ".join([wanted] if isinstance(wanted, str) else wanted)
        options = " ".join([*(f"-c {k}={v}" for k, v in settings.items()), given]).strip()
        return create_engine(
            self._url.difference_update_query(["options"]),
            connect_args={
                "application_name": APPLICATION_NAME,
                "connect_timeout": self._connect,
                "keepalives_idle": self._timeout,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": milliseconds,
                "options": options,
            },
            isolation_level="READ COMMITTED",
            pool_size=1,
            max_overflow=4,
            pool_timeout=self._timeout,
            pool_pre_ping=True,
            # Documents and tenants have no place in a log.
            hide_parameters=True,
        )


def _postgres(url: URL | str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Without the cause, whose text may hold the whole address.
        raise ConnectionInvalid("the ledger's address can't be read", where="ledger") from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConnectionInvalid(
            f"the ledger needs PostgreSQL, not {parsed.get_backend_name()}", where="ledger"
        )
    return parsed.set(drivername="postgresql+psycopg2")
