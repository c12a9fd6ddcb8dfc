"""The sample data in the dev stack's database, loaded once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from devstack.sampledata import STREAM_TABLES, DifySchema, Profile
from devstack.sampledata.load import load


def ensure_loaded(
    dsn: str, profile: Profile, *, storage: Path, on_progress: Callable[[int, int], None]
) -> int:
    """
    Load a profile unless rows of its tenants are there already.

    :param storage: folder for the offloaded contents.
    :param on_progress: called with (rows made, about how many in all).
    :return: the rows of its tenants in the four stream tables, counted by the database.
    """
    rows = _count(dsn, profile)
    if rows == 0:
        load(dsn, profile, DifySchema.NEW, storage, on_progress)
        rows = _count(dsn, profile)
    return rows


def _count(dsn: str, profile: Profile) -> int:
    total = 0
    with psycopg.connect(dsn) as connection:
        for table in STREAM_TABLES:
            found = connection.execute("SELECT to_regclass(%s)", [f"public.{table}"]).fetchone()
            if found is None or found[0] is None:
                continue
            query = sql.SQL("SELECT count(*) FROM public.{} WHERE tenant_id = ANY(%s::uuid[])")
            row = connection.execute(
                query.format(sql.Identifier(table)), [list(profile.tenant_ids)]
            ).fetchone()
            total += row[0] if row else 0
    return total
