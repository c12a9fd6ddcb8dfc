"""Brings the ledger to the version this code needs; safe when many processes start at once.

Each process looks once. A ledger that is current costs one short query. Otherwise schema, tables
and version are made in one transaction under an advisory lock of the database: whoever comes
second waits, looks again and finds it done; whoever is killed leaves nothing half made.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from airflow_provider_logmigrate.core.errors import ConnectionInvalid, NeedsAction
from airflow_provider_logmigrate.ledger.schema import HEAD, REVISIONS, SCHEMA, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

LOCK = 0x6C6F676D69677261
"""Key of the advisory lock: "logmigra" in ASCII, so that it is found by who looks at pg_locks."""

UPGRADE_SECONDS = 600
"""How long a migration, or the wait for another process's one, may take."""

_current: set[str] = set()
# Alembic keeps the running migration in module globals.
_one_at_a_time = threading.Lock()


def upgrade(engine: Engine) -> None:
    """Make or upgrade the ledger; nothing to do when it is current. Idempotent, atomic.

    :raises NeedsAction: the ledger is newer than this code.
    :raises ConnectionInvalid: the login may not make the schema, or the database isn't UTF-8.
    """
    known_as = _name(engine)
    if known_as in _current:
        return
    with engine.connect() as connection:
        current = _is_current(connection, known_as)
    if not current:
        with _one_at_a_time, engine.begin() as connection:
            _migrate(connection, known_as)
    _current.add(known_as)


def forget(engine: Engine) -> None:
    """Look again next time: the ledger isn't there any more."""
    _current.discard(_name(engine))


def _name(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _is_current(connection: Connection, where: str) -> bool:
    stored = stored_revision(connection)
    if stored is not None and stored not in REVISIONS:
        raise NeedsAction(
            f"the ledger is at schema version {stored}, newer than this code, which knows "
            f"versions up to {HEAD}",
            where=where,
            next_step="install on this machine the version of airflow-provider-logmigrate that "
            "upgraded the ledger, or a later one",
            stored=stored,
            known=HEAD,
        )
    return stored == HEAD


def stored_revision(connection: Connection) -> str | None:
    """The version the ledger is at, ``None`` where there is no ledger."""
    table = f"{SCHEMA}.{VERSION_TABLE}"
    if connection.scalar(text("SELECT to_regclass(:table)"), {"table": table}) is None:
        return None
    stored: str | None = connection.scalar(text(f"SELECT version_num FROM {table}"))
    return stored


def _migrate(connection: Connection, where: str) -> None:
    connection.execute(text(f"SET LOCAL statement_timeout = '{UPGRADE_SECONDS}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    if _is_current(connection, where):
        return
    _check_encoding(connection, where)
    _create_schema(connection, where)
    _run_migrations(connection)


def _check_encoding(connection: Connection, where: str) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise ConnectionInvalid(
            f"the ledger's database is encoded as {encoding}, not as UTF8",
            where=where,
            next_step="point the ledger's connection to a database with ENCODING 'UTF8'",
        )


def _create_schema(connection: Connection, where: str) -> None:
    # CREATE SCHEMA IF NOT EXISTS wants the right to create even where the schema exists.
    if connection.scalar(text("SELECT to_regnamespace(:schema)"), {"schema": SCHEMA}) is not None:
        return
    user, database, allowed = connection.execute(
        text(
            "SELECT quote_ident(current_user), quote_ident(current_database()), "
            "has_database_privilege(current_database(), 'CREATE')"
        )
    ).one()
    if not allowed:
        raise ConnectionInvalid(
            f"{user} may not create the schema {SCHEMA} in database {database}",
            where=where,
            next_step=f"let an administrator run: CREATE SCHEMA {SCHEMA} AUTHORIZATION {user}",
        )
    connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


def _run_migrations(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    location = Path(__file__).with_name("migrations")
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
