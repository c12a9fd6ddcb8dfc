"""What a driver's error means, for errors a server gives only in rare states."""

from __future__ import annotations

import psycopg2
import pytest
from psycopg2 import errors

from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    LogMigrateError,
    SourceUnavailable,
    SourceUnsuitable,
)
from airflow_provider_logmigrate.stores.postgres.session import PostgresEndpoint, Sessions

SESSIONS = Sessions(PostgresEndpoint("h", 1, "u", "db", password="s3cret", label="src"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg2.DatabaseError("error with status PGRES_COPY_OUT"), SourceUnavailable),
        (psycopg2.InterfaceError("connection already closed"), SourceUnavailable),
        (psycopg2.OperationalError("could not translate host name"), SourceUnavailable),
        (psycopg2.OperationalError(""), SourceUnavailable),
        (psycopg2.OperationalError("FATAL:  sorry, too many clients already"), SourceUnavailable),
        (
            psycopg2.OperationalError("FATAL:  the database system is starting up"),
            SourceUnavailable,
        ),
        (errors.SerializationFailure("conflict with recovery"), SourceUnavailable),
        (errors.AdminShutdown("terminating connection"), SourceUnavailable),
        (errors.DiskFull("could not write"), SourceUnavailable),
        (errors.QueryCanceled("due to statement timeout"), SourceUnavailable),
        (
            psycopg2.OperationalError("FATAL:  no pg_hba.conf entry for host 10.0.0.1"),
            ConnectionInvalid,
        ),
        (
            psycopg2.OperationalError('FATAL:  role "u" is not permitted to log in'),
            ConnectionInvalid,
        ),
        (
            psycopg2.OperationalError('server certificate for "h" does not match'),
            ConnectionInvalid,
        ),
        (errors.UndefinedColumn("column does not exist"), SourceUnsuitable),
        (errors.InsufficientPrivilege("permission denied for table"), SourceUnsuitable),
        (errors.InvalidTextRepresentation("invalid input syntax"), SourceUnsuitable),
        (psycopg2.ProgrammingError('invalid connection option "x"'), SourceUnsuitable),
    ],
)
def test_errors_mean_what_has_to_happen_next(
    error: psycopg2.Error, kind: type[LogMigrateError]
) -> None:
    explained = SESSIONS.explain(error)
    assert type(explained) is kind
    assert "src" in str(explained)
    assert "s3cret" not in str(explained)


def test_only_a_statement_that_was_too_slow_is_advised_on_its_timeout() -> None:
    slow = SESSIONS.explain(errors.QueryCanceled("canceling statement due to statement timeout"))
    asked = SESSIONS.explain(errors.QueryCanceled("canceling statement due to user request"))
    assert "higher statement_timeout" in slow.next_step
    assert "statement_timeout" not in asked.next_step
