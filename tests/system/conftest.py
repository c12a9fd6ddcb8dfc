"""One system for the whole folder: Airflow is started once.

Runs take seconds, most of them spent waiting. A test marked ``ahead`` names the runs it looks at;
they are started together at the beginning, and are well on their way when their test comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from devstack.opensearch import OpenSearchServer
    from devstack.postgres import PostgresServer
    from tests.system.rig import DagRun, System


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "ahead(migration, tenant=0, role='', times=1, **conf): start this run, or these runs one"
        " after another, at the beginning of the session; tests with equal wishes share them",
    )
    config.addinivalue_line("markers", "late: run behind tests that aren't")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests of long waits behind the others, and the one that kills everything last."""
    here = Path(__file__).parent
    own = [item for item in items if here in item.path.parents]
    own.sort(key=lambda item: (item.get_closest_marker("late") is not None, item.path.name))
    ordered = iter(own)
    items[:] = [next(ordered) if here in item.path.parents else item for item in items]
    for item in own:
        item.add_marker(pytest.mark.timeout(600))  # the first one starts everything


@pytest.fixture(scope="session")
def system(
    postgres_server: PostgresServer, opensearch_server: OpenSearchServer, server_root: Path
) -> Iterator[System]:
    """Airflow with its scheduler, the sample data, and the migrations of :mod:`.migrations`."""
    from airflow_provider_logmigrate.ledger.ledger import Ledger
    from devstack.airflow import AirflowServer
    from devstack.opensearch import OpenSearchServer
    from devstack.paths import CHECKOUT
    from devstack.postgres import PostgresServer
    from tests.system import migrations
    from tests.system.gateway import Gateway, running
    from tests.system.rig import System

    names = ("airflow", "ledger", "small", "big", "leaving", "live")
    databases = [f"system_{name}" for name in names]
    with ExitStack() as stack:
        metadata, ledger, small_dsn, big_dsn, leaving_dsn, live_dsn = [
            postgres_server.create_database(name) for name in databases
        ]
        for name in databases:
            stack.callback(postgres_server.drop_database, name)
        frail_postgres = stack.enter_context(PostgresServer(server_root / "frail-postgres"))
        frail_search = OpenSearchServer(server_root / "frail-opensearch")
        stack.callback(frail_search.stop)
        gateway = stack.enter_context(running(Gateway(opensearch_server.url)))
        frail_gateway = stack.enter_context(running(Gateway(frail_search.reserve())))
        storage = server_root / "system-storage"
        with ThreadPoolExecutor(4) as pool:
            small = pool.submit(
                migrations.load_sample, migrations.SMALL_PROFILE, small_dsn, storage
            )
            big = pool.submit(
                migrations.load_sample, migrations.BIG_PROFILE, big_dsn, storage, index=True
            )
            leaving = pool.submit(
                migrations.load_sample, migrations.LEAVING_PROFILE, leaving_dsn, storage
            )
            frail = pool.submit(
                migrations.load_sample,
                migrations.SMALL_PROFILE,
                frail_postgres.create_database("dify"),
                storage,
                index=True,
            )
            migrations.create_live(live_dsn)
            config = migrations.write_config(server_root / "logmigrate.yaml", storage=storage)
            airflow = stack.enter_context(
                AirflowServer(
                    server_root / "system-airflow",
                    database_dsn=metadata,
                    dags_folder=CHECKOUT / "dags",
                    env={
                        **migrations.connections(
                            small=small_dsn,
                            big=big_dsn,
                            leaving=leaving_dsn,
                            live=live_dsn,
                            frail=frail_postgres.dsn("dify"),
                            ledger=ledger,
                            search=gateway.url,
                            frail_search=frail_gateway.url,
                        ),
                        "AIRFLOW__LOGMIGRATE__CONFIG": str(config),
                        # Held and frozen tasks keep their slots.
                        "AIRFLOW__CORE__PARALLELISM": "10",
                    },
                )
            )
            made = System(
                airflow=airflow,
                search=opensearch_server,
                gateway=gateway,
                frail_postgres=frail_postgres,
                frail_search=frail_search,
                frail_gateway=frail_gateway,
                ledger=stack.enter_context(Ledger(ledger, who="system tests")),
                small=small.result(),
                big=big.result(),
                leaving=leaving.result(),
                live=live_dsn,
                storage=storage,
            )
            frail.result()
        # An orderly stop would wait for whatever a failed test has left running.
        stack.callback(airflow.kill)
        made.client.wait_for_dag(migrations.LAST_DAG, seconds=240)
        yield made


@pytest.fixture(scope="session")
def started(system: System, request: pytest.FixtureRequest) -> dict[str, list[DagRun]]:
    """The runs that tests asked for with ``ahead``, by test. Equal wishes share a run."""
    made: dict[str, list[DagRun]] = {}
    runs: dict[str, list[DagRun]] = {}
    for item in request.session.items:
        for mark in item.iter_markers("ahead"):
            wish = dict(mark.kwargs)
            times = wish.pop("times", 1)
            same = made.setdefault(json.dumps(wish, sort_keys=True), [])
            while len(same) < times:
                same.append(_start(system, **wish))
            runs.setdefault(item.nodeid, []).extend(same[:times])
    return runs


def _start(
    system: System, *, migration: str, tenant: int = 0, role: str = "", **conf: Any
) -> DagRun:
    from tests.system.migrations import FOLLOWED, GROUPS, PURGED, SWEPT

    if migration == FOLLOWED:
        return system.scheduled(migration, "follow")
    if migration == PURGED:
        name = system.leaving.tenants[tenant]
        if role:
            return system.trigger_for_all(migration, role, tenant=name, **conf)
        return system.trigger(migration, name, **conf)
    if migration in GROUPS:
        return system.trigger_for_all(migration, "tenants", **conf)
    if migration == SWEPT:
        return system.trigger_for_all(migration, "sweep", **conf)
    return system.trigger(migration, system.small.tenants[tenant], **conf)


@pytest.fixture
def runs(started: dict[str, list[DagRun]], request: pytest.FixtureRequest) -> list[DagRun]:
    """The runs this test asked for with ``ahead``, in order."""
    return started[request.node.nodeid]


@pytest.fixture
def run(runs: list[DagRun]) -> DagRun:
    """The only run this test asked for."""
    (only,) = runs
    return only
