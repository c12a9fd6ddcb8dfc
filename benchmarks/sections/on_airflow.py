"""A whole Airflow beside the other servers, for the sections that measure its overhead."""

from __future__ import annotations

from benchmarks import wiring
from benchmarks.rig import Rig
from devstack.airflow import AirflowServer
from devstack.airflow_api import AirflowClient
from devstack.paths import CHECKOUT

TENANTS = 4
"""The first ones of ``many``: each repetition of the unit gap wants a tenant of its own."""


def tenants(rig: Rig) -> tuple[str, ...]:
    """The tenants that have DAGs."""
    return rig.datasets.get("many").tenants[: max(TENANTS, rig.settings.repeats)]


def client(rig: Rig) -> AirflowClient:
    """A client of the Airflow, which is started by the first call."""
    return rig.once("airflow", lambda: _start(rig))


def _start(rig: Rig) -> AirflowClient:
    data = rig.datasets.get("many")
    config = wiring.write_config(
        rig.settings.root / "config" / "airflow.yaml",
        tenants=tenants(rig),
        first=data.first,
        last=data.last,
    )
    env = {"AIRFLOW__LOGMIGRATE__CONFIG": str(config)}
    for connection in (
        wiring.postgres("source", data.dsn),
        wiring.postgres("logmigrate_ledger", rig.ledger.create_database("airflow_ledger")),
        wiring.search("search", rig.engine.url),
    ):
        env |= wiring.for_airflow(connection)
    rig.say("starting Airflow")
    server: AirflowServer = rig.hold(
        AirflowServer(
            rig.settings.root / "airflow",
            database_dsn=rig.ledger.create_database("airflow"),
            dags_folder=CHECKOUT / "dags",
            env=env,
        )
    )
    return server.client()
