"""Every process of Airflow is killed in the middle of a copy; a new DAG run goes on."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_logmigrate.core.checkpoint import Phase
from tests.system.migrations import STACK_KILLED, prefix
from tests.system.rig import System, gone

STREAM = "workflow_node_executions"
HELD_AT = 8_000


@pytest.mark.late
def test_a_new_run_goes_on_from_the_ledgers_checkpoint(system: System) -> None:
    (tenant,) = system.big.tenants
    names = f"{prefix(STACK_KILLED)}-{STREAM.replace('_', '-')}-"
    with system.gateway.hold(names, after=HELD_AT) as hold:
        broken_off = system.trigger(STACK_KILLED, tenant)
        hold.wait()
        task = broken_off.task_process()
        # So that its scheduler, once it is back, doesn't retry the task before it is given up.
        system.client.patch(f"/dags/{broken_off.dag_id}", {"is_paused": True})
        system.airflow.kill()
    assert gone(task)
    at_the_kill = broken_off.unit(STREAM)
    assert at_the_kill is not None
    assert at_the_kill.phase is Phase.COPYING
    sent = len(system.gateway.sent(names))

    system.airflow.start()
    broken_off.fail_by_hand()
    run = system.trigger(STACK_KILLED, tenant)
    run.succeed()

    total = system.big.counts.units[STREAM, tenant, "2025-03"].settled
    unit = run.unit(STREAM)
    assert unit is not None
    assert unit.attempt > at_the_kill.attempt
    assert (unit.phase, unit.counters.documents) == (Phase.COPIED, total)
    assert run.copied()[unit.unit]["action"] == "resumed"
    assert {unit["verdict"] for unit in run.report["units"]} == {"equal"}
    again = sum(times - 1 for times in Counter(system.gateway.sent(names)).values())
    assert 0 < again == sent - at_the_kill.counters.documents
    assert again < sent / 2
    # The units that were copied before it weren't touched.
    for name, entry in run.copied().items():
        if not name.startswith((STREAM, "workflow_node_execution_offload")):
            assert entry["action"] == "current", name
    count = system.ask("GET", f"{unit.index}/_count")["count"]
    assert count == total
