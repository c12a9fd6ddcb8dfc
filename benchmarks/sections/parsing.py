"""The DAG file with 1,000 tenants, as Airflow's processes read it."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from benchmarks import wiring
from benchmarks.rig import Rig
from devstack.paths import CHECKOUT

TENANTS = 1_000


def parse(rig: Rig, *, one: bool) -> dict[str, Any]:
    """Parse in a fresh process.

    :param one: as a task of one tenant does, else as the DAG processor.
    """
    home = rig.settings.root / "parse"
    tenants = [
        str(UUID(hashlib.sha256(f"parse {n}".encode()).hexdigest()[:32]))
        for n in range(rig.settings.amount(TENANTS))
    ]
    config = wiring.write_config(
        home / "logmigrate.yaml", tenants=tenants, first="2024-01-01", last="2024-12-31"
    )
    job = {"job": "parse", "file": str(CHECKOUT / "dags" / "logmigrate.py")}
    if one:
        from airflow_provider_logmigrate.core.naming import dag_id

        job["dag_id"] = dag_id(wiring.MIGRATION, tenants[-1])
    env = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGMIGRATE__CONFIG": str(config),
        "AIRFLOW__LOGMIGRATE__MAX_TENANT_DAGS": str(TENANTS),
    }
    found: dict[str, Any] = rig.run(job, env=env).found
    return found
