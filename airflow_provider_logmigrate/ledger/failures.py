"""What a database error means: wait and retry, or fix the connection. Never shows the password."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    LedgerUnavailable,
    LogMigrateError,
)

_REFUSED = (
    "authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "does not exist",
    "permission denied for database",
    "is not permitted to log in",
    "certificate verify failed",
    "root certificate",
    "does not support SSL",
)
"""Parts of libpq's message for a login that will be refused again: it carries no error code."""

_TAKEN_ANEW = ("40001", "40P01")
"""Serialisation failure and deadlock: the same transaction succeeds when run again."""

_LEDGER_GONE = ("3F000", "42P01")
"""No such schema, no such table."""

_NOT_ALLOWED = ("42501",)

_PASSING = ("25006", "55P03")
"""Read-only (a standby, until the address follows the new primary) and a lock not got in time."""


def may_pass_at_once(error: SQLAlchemyError) -> bool:
    """True if a second try can succeed now: after a dropped connection, or a deadlock."""
    if not isinstance(error, DBAPIError):
        return False
    if _connecting(error):
        return not _refused(str(error.orig))
    return error.connection_invalidated or _code(error) in _TAKEN_ANEW


def ledger_gone(error: SQLAlchemyError) -> bool:
    """True if the ledger's tables aren't there, though this process has seen them before."""
    return isinstance(error, DBAPIError) and _code(error) in _LEDGER_GONE


def translated(error: SQLAlchemyError, *, where: str, secret: str) -> LogMigrateError | None:
    """The project's error for a database error; ``None`` for one that is a defect of this code.

    :param secret: the password, cut out of the text wherever it stands.
    """
    if isinstance(error, PoolTimeout):
        return LedgerUnavailable("no connection to the ledger became free in time", where=where)
    if not isinstance(error, DBAPIError):
        return None
    reason = _reason(error, secret)
    if _connecting(error) and _refused(reason):
        return ConnectionInvalid(f"the ledger refuses the login: {reason}", where=where)
    if _code(error) in _NOT_ALLOWED:
        return ConnectionInvalid(
            f"the ledger's login lacks a privilege: {reason}",
            where=where,
            next_step="let an administrator make the login the owner of schema logmigrate",
        )
    passing = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    if passing or _code(error) in _PASSING:
        return LedgerUnavailable(f"the ledger can't be reached: {reason}", where=where)
    return None


def _refused(reason: str) -> bool:
    return any(part in reason for part in _REFUSED)


def _connecting(error: DBAPIError) -> bool:
    return error.statement is None and isinstance(error, OperationalError)


def _code(error: DBAPIError) -> str:
    return getattr(error.orig, "pgcode", None) or ""


def _reason(error: DBAPIError, secret: str) -> str:
    reason = " ".join(str(error.orig).split())
    return reason.replace(secret, "***") if secret else reason
