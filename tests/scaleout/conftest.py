"""One system for the whole folder: Airflow with its CeleryExecutor and two workers.

It is stopped behind the last test of its only module, before other folders start systems of their
own: two Airflows at once would slow down everything that is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from devstack.opensearch import OpenSearchServer
    from devstack.postgres import PostgresServer
    from tests.scaleout.fleet import Fleet


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))  # the first one starts everything


@pytest.fixture(scope="module")
def fleet(
    postgres_server: PostgresServer, opensearch_server: OpenSearchServer, server_root: Path
) -> Iterator[Fleet]:
    """Two workers with two slots each, the sample data, the migrations of :mod:`.migrations`."""
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from devstack.celery_workers import CeleryAirflow
    from devstack.paths import CHECKOUT
    from devstack.valkey import ValkeyServer
    from tests.scaleout import migrations
    from tests.scaleout.fleet import Fleet
    from tests.system.gateway import Gateway, running
    from tests.system.migrations import load_sample

    with ExitStack() as stack:
        databases = [f"scaleout_{name}" for name in ("airflow", "ledger", "dify")]
        metadata, ledger, dify = [postgres_server.create_database(name) for name in databases]
        for name in databases:
            stack.callback(postgres_server.drop_database, name)
        gateway = stack.enter_context(running(Gateway(opensearch_server.url)))
        broker = stack.enter_context(ValkeyServer(server_root / "scaleout-broker"))
        config = migrations.write_config(server_root / "scaleout.yaml")
        airflow = CeleryAirflow(
            server_root / "scaleout-airflow",
            database_dsn=metadata,
            dags_folder=CHECKOUT / "dags",
            env={
                **migrations.environment(dify_dsn=dify, ledger_dsn=ledger, search_url=gateway.url),
                "AIRFLOW__LOGMIGRATE__CONFIG": str(config),
                # Four tasks start at once: on a slow machine none of them may be taken for dead.
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            },
            broker=broker,
        )
        # An orderly stop would wait for whatever a failed test has left running.
        stack.callback(airflow.stop)
        stack.callback(airflow.kill)
        with ThreadPoolExecutor(1) as pool:
            sample = pool.submit(
                load_sample, migrations.PROFILE, dify, server_root / "scaleout-files", index=True
            )
            airflow.start()
            counts = sample.result().counts
        made = Fleet(
            airflow=airflow,
            workers=airflow,
            search=opensearch_server,
            gateway=gateway,
            ledger=stack.enter_context(Ledger(ledger, who="scale-out tests")),
            counts=counts,
        )
        made.client.wait_for_dag(migrations.LAST_DAG, seconds=300)
        yield made
