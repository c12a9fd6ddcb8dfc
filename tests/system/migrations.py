"""The configuration of the system tests: a migration, with its own indices, for each purpose."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg

from airflow_provider_logmigrate.core.naming import dag_id
from airflow_provider_logmigrate.core.unit import month_of
from devstack.sampledata import PROFILES, DifySchema, Profile
from devstack.sampledata.load import load
from devstack.wiring import in_environment, opensearch_fields, postgres_fields
from tests.system.rig import Sample

SMALL_PROFILE = PROFILES["test"]

BIG_PROFILE = Profile(
    name="system",
    tenants=1,
    first_month="2025-03",
    months=1,
    runs_per_month=2_000,
    seed=20250301,
    graph_bytes=1_000,
    text_scale=0.2,
    offloaded=1,
)
"""More than 20,000 node executions in one month of one tenant."""

LEAVING_PROFILE = Profile(
    name="leaving",
    tenants=2,
    first_month="2025-01",
    months=2,
    runs_per_month=20,
    seed=20250102,
    graph_bytes=1_000,
    text_scale=0.2,
    offloaded=1,
)
"""In a database of its own: its rows are deleted."""

SERVING_REFRESH = "7s"
"""Refresh interval of an index that serves; no default of anything, so that a test sees it back."""

# One bulk at a time, and small ones: the gateway then knows exactly what a task has sent.
STEP_BY_STEP: Mapping[str, Any] = {
    "in_flight": 1,
    "chunk": "256KiB",
    "page_rows": 1_000,
    "checkpoint_every": "100ms",
}

UNDISTURBED = "undisturbed"
TASK_KILLED = "task_killed"
SUPERVISOR_KILLED = "supervisor_killed"
FROZEN = "frozen"
TERMINATED = "terminated"
FAILED_BY_HAND = "failed_by_hand"
STACK_KILLED = "stack_killed"
DISTURBED = (
    TASK_KILLED,
    SUPERVISOR_KILLED,
    FROZEN,
    TERMINATED,
    FAILED_BY_HAND,
    STACK_KILLED,
)

WHOLE = "whole"
CHOICE = "choice"
ASK_FIRST = "ask_first"
ASK_LAST = "ask_last"
ALTERED = "altered"
BROKEN = "broken"
ENGINE_LOST = "engine_lost"
SOURCE_LOST = "source_lost"
WRONG = "wrong"
GROUP = "group"
GROUP_ASKED = "group_asked"
GROUPS = (GROUP, GROUP_ASKED)
"""One DAG for all their tenants."""

SWEPT = "swept"
"""Tables without an index are read once for both tenants."""

PURGED = "purged"
"""The only one that may delete from its source."""

FOLLOWED = "followed"
"""The open month of a table that is written to."""

RETAINED = "retained"
"""Everything in it is too old."""

REFUSED = "refused"
"""An error's text must be a number: documents of failed runs are refused."""

LIVE_TENANT = "acme"
WRONG_TENANT = "x" * 300
ABSENT_TENANT = "00000000-0000-4000-8000-000000000000"
"""A tenant without any row."""


def prefix(migration: str) -> str:
    """First part of a migration's index names."""
    return migration.replace("_", "-")


LAST_DAG = dag_id(SOURCE_LOST, SMALL_PROFILE.tenant_ids[0])
"""The last one in the file: when Airflow knows it, it knows all."""


def load_sample(profile: Profile, dsn: str, storage: Path, *, index: bool = False) -> Sample:
    """Load a profile into a database, its files into a folder of its own below ``storage``.

    :param index: node executions are read along an index, page by page.
    """
    done = load(dsn, profile, DifySchema.NEW, storage / profile.name)
    if index:
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "CREATE INDEX ON workflow_node_executions (tenant_id, created_at, id)"
            )
    return Sample(profile=profile, dsn=dsn, counts=done.counts)


def write_config(path: Path, *, storage: Path) -> Path:
    """Write logmigrate.yaml, two wrong entries in it."""
    small: dict[str, Any] = _migration(SMALL_PROFILE, storage)
    big: dict[str, Any] = _migration(BIG_PROFILE, storage) | {
        "source": "big",
        "lanes": 1,
        "limits": STEP_BY_STEP,
    }
    both = list(SMALL_PROFILE.tenant_ids)
    step_by_step = {"lanes": 1, "limits": {**STEP_BY_STEP, "chunk": "64KiB", "page_rows": 100}}
    migrations: dict[str, Any] = {
        UNDISTURBED: big | {"limits": {}},
        **dict.fromkeys(DISTURBED, big),
        # The others read along the index below; the position of a copy means something else here.
        TASK_KILLED: big | {"strategy": {"node_executions": "by_parent"}},
        WHOLE: small | {"tenants": {"list": [both[0], WRONG_TENANT, both[1]]}},
        CHOICE: small,
        ASK_FIRST: small | {"lanes": 1, "approval": "before_backfill"},
        ASK_LAST: small | {"lanes": 1, "approval": "before_swap"},
        ALTERED: small | {"lanes": 1},
        BROKEN: small | {"lanes": 1, "approval": "before_swap"},
        WRONG: small | {"source": "no_such_store", "lanes": 0},
        GROUP: small | {"dags": "grouped", "tenants": {"list": [*both, ABSENT_TENANT]}},
        GROUP_ASKED: small | {"dags": "grouped", "approval": "before_swap"},
        FOLLOWED: _followed(),
        RETAINED: small | {"lanes": 1, "retention": {"after": "30d"}},
        REFUSED: small
        | {
            "pack": None,
            "offload": None,
            "lanes": 1,
            "streams": {
                "runs": {
                    "table": "workflow_runs",
                    "event_time": "created_at",
                    "tenant_column": "tenant_id",
                    "fields": {"error": {"type": "long"}},
                }
            },
        },
        SWEPT: small | {"strategy": {"workflow_app_logs": "sweep"}},
        PURGED: _migration(LEAVING_PROFILE, storage) | {"source": "leaving", "purge": {}},
        ENGINE_LOST: small | step_by_step | {"target": "frail_search"},
        SOURCE_LOST: small | step_by_step | {"source": "frail"},
    }
    document = {
        "version": 1,
        "stores": {
            **{
                name: {"type": "postgres", "connection": f"{name}_db"}
                for name in ("small", "big", "leaving", "live", "frail")
            },
            **{
                name: {"type": "opensearch", "connection": name}
                for name in ("search", "frail_search")
            },
        },
        "migrations": {
            name: entry | {"index_prefix": prefix(name)} for name, entry in migrations.items()
        },
    }
    path.write_text(json.dumps(document, indent=1))  # JSON is YAML as well
    return path


def _migration(profile: Profile, storage: Path) -> dict[str, Any]:
    return {
        "pack": "dify",
        "source": "small",
        "target": "search",
        "tenants": {"list": list(profile.tenant_ids)},
        "from": f"{profile.month_starts[0]:%Y-%m-%d}",
        "to": profile.last_day,
        "index": {"refresh_interval": SERVING_REFRESH},
        "offload": {"url": f"file://{storage / profile.name}"},
    }


def _followed() -> dict[str, Any]:
    now = datetime.now(timezone.utc)
    before = month_of(month_of(now).start - timedelta(days=1))
    # Just missed: Airflow makes up for it at once, and the next time is tomorrow.
    just_now = now - timedelta(minutes=2)
    stream = {"table": "events", "event_time": "at", "tenant_column": "tenant"}
    return {
        "source": "live",
        "target": "search",
        "tenants": {"list": [LIVE_TENANT]},
        "streams": {"events": stream},
        "from": f"{before.start:%Y-%m-%d}",
        "lanes": 1,
        "limits": {**STEP_BY_STEP, "chunk": "64KiB", "page_rows": 100},
        "follow": {"schedule": f"{just_now.minute} {just_now.hour} * * *"},
    }


def create_live(dsn: str) -> None:
    """A table of events of the last hours, all older than the settle lag."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "CREATE TABLE events (id text PRIMARY KEY, tenant text NOT NULL,"
            " at timestamptz NOT NULL, note text NOT NULL)"
        )
    add_events(dsn, 1, 400)


def add_events(dsn: str, first: int, last: int) -> None:
    """Events of a kilobyte each: ``e1``, ``e2`` and so on."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO events SELECT 'e' || n, %s, now() - (3600 + n * 10) * interval '1s',"
            " repeat('x', 1000) FROM generate_series(%s::int, %s) AS n",
            (LIVE_TENANT, first, last),
        )


def connections(
    *,
    small: str,
    big: str,
    leaving: str,
    live: str,
    frail: str,
    ledger: str,
    search: str,
    frail_search: str,
) -> dict[str, str]:
    """The Airflow connections, as environment variables."""
    databases = {
        "small_db": small,
        "big_db": big,
        "leaving_db": leaving,
        "live_db": live,
        "frail_db": frail,
        "logmigrate_ledger": ledger,
    }
    # An answer the gateway holds back isn't an outage.
    patient = {"extra": json.dumps({"timeout": 180})}
    engines = {"search": search, "frail_search": frail_search}
    made: dict[str, str] = {}
    for conn_id, dsn in databases.items():
        made |= in_environment(conn_id, postgres_fields(dsn))
    for conn_id, url in engines.items():
        made |= in_environment(conn_id, opensearch_fields(url) | patient)
    return made
