"""The configuration: two migrations of the same rows, one in four lanes, one alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow_provider_logmigrate.core.naming import dag_id
from devstack.sampledata import Profile
from devstack.wiring import connections
from tests.system.migrations import STEP_BY_STEP, prefix

PROFILE = Profile(
    name="scaleout",
    tenants=1,
    first_month="2025-03",
    months=4,
    runs_per_month=500,
    seed=20250304,
    graph_bytes=1_000,
    text_scale=0.2,
    offloaded=0,
)
"""One tenant with four months of about 5,000 node executions: a unit for each lane."""

(TENANT,) = PROFILE.tenant_ids
STREAM = "workflow_node_executions"
PERIODS = PROFILE.month_names

# The engine is shared: no name here may begin like one of the system tests', with a hyphen after.
DISTURBED = "four_lanes"
UNDISTURBED = "one_lane"

LAST_DAG = dag_id(UNDISTURBED, TENANT)
"""The last one in the file: when Airflow knows it, it knows both."""


def unit_prefix(period: str) -> str:
    """What the index names of a disturbed unit begin with."""
    stream = STREAM.replace("_", "-")
    return f"{prefix(DISTURBED)}-{stream}-{TENANT}-{period.replace('-', '.')}"


def write_config(path: Path) -> Path:
    """Write logmigrate.yaml."""
    both: dict[str, Any] = {
        "pack": "dify",
        "streams": [STREAM],
        "source": "dify_db",
        "target": "search",
        "tenants": {"list": [TENANT]},
        "from": f"{PROFILE.month_starts[0]:%Y-%m-%d}",
        "to": PROFILE.last_day,
    }
    limits = {**STEP_BY_STEP, "chunk": "64KiB", "page_rows": 500}
    migrations: dict[str, dict[str, Any]] = {
        DISTURBED: {"lanes": len(PERIODS), "limits": limits},
        UNDISTURBED: {"lanes": 1},
    }
    document = {
        "version": 1,
        "stores": {
            "dify_db": {"type": "postgres", "connection": "dify_postgres"},
            "search": {"type": "opensearch", "connection": "logs_search"},
        },
        "migrations": {
            name: both | own | {"index_prefix": prefix(name)} for name, own in migrations.items()
        },
    }
    path.write_text(json.dumps(document, indent=1))  # JSON is YAML as well
    return path


def environment(*, dify_dsn: str, ledger_dsn: str, search_url: str) -> dict[str, str]:
    """The connections, as Airflow's processes find them."""
    made = connections(dify_dsn=dify_dsn, ledger_dsn=ledger_dsn, search_url=search_url)
    search = json.loads(made["AIRFLOW_CONN_LOGS_SEARCH"])
    # A bulk that the gateway holds back isn't an outage.
    search["extra"] = json.dumps({"timeout": 900})
    return made | {"AIRFLOW_CONN_LOGS_SEARCH": json.dumps(search)}
