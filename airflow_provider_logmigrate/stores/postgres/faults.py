"""What the errors of a PostgreSQL source mean: what passes, and what somebody has to change."""

from __future__ import annotations

import psycopg2
from psycopg2 import errors as pg

from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    LogMigrateError,
    SourceUnavailable,
    SourceUnsuitable,
)

_REFUSED_LOGINS = (
    # A refused connection has no SQLSTATE in psycopg2, only libpq's text.
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects connection",
    "is not permitted to log in",
    "permission denied for database",
)
_SLOW = (
    "nothing if it passes; a statement that always needs longer wants a higher statement_timeout"
    " or an index (see the plan's read strategy)"
)


def explain(error: psycopg2.Error, *, where: str) -> LogMigrateError:
    """Our error for a driver's error, without the server's context lines.

    :param where: the source, for the message.
    """
    # Without a message of the server it is libpq's own: no connection, or a lost one.
    told = error.diag.message_primary or str(error)
    reason = " ".join(told.split()) or type(error).__name__
    if type(error) is psycopg2.DatabaseError and error.pgcode is None:
        # What psycopg2 makes of a line that is cut while COPY's rows arrive.
        return SourceUnavailable(f"the connection was lost: {reason}", where=where)
    if isinstance(error, pg.QueryCanceled):
        return SourceUnavailable(
            f"the source cancelled a query: {reason}",
            where=where,
            next_step=_SLOW if "statement timeout" in reason else "",
        )
    if isinstance(error, pg.InsufficientPrivilege):
        return SourceUnsuitable(f"a privilege is missing: {reason}", where=where)
    if isinstance(error, pg.InvalidPassword | pg.InvalidAuthorizationSpecification) or (
        any(refusal in reason for refusal in _REFUSED_LOGINS)
        or ('role "' in reason and "does not exist" in reason)
    ):
        return ConnectionInvalid(f"the login was refused: {reason}", where=where)
    if isinstance(error, pg.InvalidCatalogName) or (
        'database "' in reason and "does not exist" in reason
    ):
        return ConnectionInvalid(f"no such database: {reason}", where=where)
    if "certificate" in reason or ("SSL" in reason and "not support" in reason):
        return ConnectionInvalid(f"TLS failed: {reason}", where=where)
    if isinstance(
        error,
        pg.SerializationFailure
        | pg.DeadlockDetected
        | pg.LockNotAvailable
        | psycopg2.OperationalError
        | psycopg2.InterfaceError,
    ):
        return SourceUnavailable(f"the source can't be read: {reason}", where=where)
    return SourceUnsuitable(f"the source refuses the query: {reason}", where=where)
