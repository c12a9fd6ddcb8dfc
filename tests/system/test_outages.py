"""Source and engine go away in the middle of a copy and come back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from airflow_provider_logmigrate.core.checkpoint import Phase
from airflow_provider_logmigrate.ledger.runs import RunOutcome
from devstack.opensearch import OpenSearchServer
from devstack.postgres import PostgresServer
from tests.system.gateway import Gateway
from tests.system.migrations import ENGINE_LOST, SOURCE_LOST, prefix
from tests.system.rig import DagRun, System, eventually

STREAM = "workflow_node_executions"
HELD_AT = {
    # Behind the first batch of parents, where a copy that follows them can be resumed.
    ENGINE_LOST: 350,
    # Two pages before the end: what a dead server has sent already can still be read.
    SOURCE_LOST: 150,
}
"""Documents of the unit's index that are in the engine when the server is killed."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A run whose engine or source was killed in the middle of its copy.

    :param over: done when the server is back, after an attempt has failed for want of it.
    """

    run: DagRun
    over: Future[object]


@pytest.fixture(scope="session")
def outages(system: System) -> Iterator[dict[str, Outage]]:
    tenant = system.small.tenants[0]
    names = f"{STREAM.replace('_', '-')}-{tenant}-2025.02"
    parts: dict[str, tuple[Gateway, OpenSearchServer | PostgresServer]] = {
        ENGINE_LOST: (system.frail_gateway, system.frail_search),
        SOURCE_LOST: (system.gateway, system.frail_postgres),
    }
    system.frail_search.start()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        held = {}
        for name, (gateway, _) in parts.items():
            hold = stack.enter_context(gateway.hold(f"{prefix(name)}-{names}", after=HELD_AT[name]))
            held[name] = (hold, system.trigger(name, tenant))
        found = {}
        for name, (hold, run) in held.items():
            _, server = parts[name]
            hold.wait()
            server.process.kill()
            hold.release()
            found[name] = Outage(run, pool.submit(_bring_back, server, run))
        yield found


def _bring_back(server: OpenSearchServer | PostgresServer, run: DagRun) -> object:
    def failed() -> bool:
        return run.states()["backfill[0]"] == "up_for_retry"

    eventually(failed, seconds=240, what=f"the end of the attempt of {run.migration}")
    return server.start()


def test_an_outage_is_no_result(system: System, outages: dict[str, Outage]) -> None:
    for outage in outages.values():
        states = system.ledger.units.states(outage.run.migration)
        (unit,) = [s for s in states if s.stream == STREAM and s.period == "2025-02"]
        assert unit.phase is Phase.COPYING
        assert outage.run.recorded.outcome is RunOutcome.RUNNING


@pytest.mark.late
@pytest.mark.parametrize(
    ("name", "error"), [(SOURCE_LOST, "SourceUnavailable"), (ENGINE_LOST, "TargetUnavailable")]
)
def test_an_outage_costs_a_try_and_no_row(
    system: System, outages: dict[str, Outage], name: str, error: str
) -> None:
    outage = outages[name]
    run = outage.run
    outage.over.result(timeout=300)

    run.succeed()
    assert run.tasks()["backfill[0]"]["try_number"] > 1
    log = run.log("backfill", 1, 0)
    assert error in log, log
    assert "nothing if it passes: the task retries from its checkpoint" in log, log
    assert {unit["verdict"] for unit in run.report["units"]} == {"equal"}
    counts = {
        (table, month): count.rows if table.endswith("_offload") else count.settled
        for (table, owner, month), count in system.small.counts.units.items()
        if owner == run.tenant
    }
    engine = system.frail_search.url if name == ENGINE_LOST else system.search.url
    found = {
        (unit["stream"], unit["period"]): system.ask(
            "GET", f"{unit['index']}/_count", engine=engine
        )["count"]
        for unit in run.report["units"]
    }
    assert found == counts
    actions = {unit: entry["action"] for unit, entry in run.copied().items()}
    assert actions[f"{STREAM}/{run.tenant}/2025-02"] == "resumed"
