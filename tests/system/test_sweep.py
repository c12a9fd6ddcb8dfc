"""Tables that no index serves: read once for all tenants, then proven by each tenant's own DAG."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.naming import dag_id
from airflow_provider_logmigrate.ledger.runs import RunOutcome
from tests.system.migrations import SWEPT
from tests.system.rig import DagRun, System, eventually

SWEPT_STREAMS = {"workflow_app_logs", "workflow_node_execution_offload"}
"""One is forced by the configuration, the other has no usable index."""


@pytest.mark.late
@pytest.mark.ahead(migration=SWEPT)
def test_a_sweep_copies_for_all_tenants_and_their_own_dags_prove_and_swap(
    system: System, run: DagRun
) -> None:
    run.succeed()

    for tenant in system.small.tenants:
        name = dag_id(SWEPT, tenant)
        system.client.patch(f"/dags/{name}", {"is_paused": False})
        own = DagRun(system, SWEPT, tenant, name, f"after_sweep__{run.run_id}")
        eventually(
            lambda own=own: own.run_id in _runs(system, own.dag_id),  # type: ignore[misc]
            seconds=120,
            what=f"the run of {name} behind the sweep",
        )
        own.succeed()
        assert own.recorded.outcome is RunOutcome.COMPLETED
        assert {unit["verdict"] for unit in own.report["units"]} == {"equal"}
        counts = {
            (table, month): count.rows if table.endswith("_offload") else count.settled
            for (table, owner, month), count in system.small.counts.units.items()
            if owner == tenant
        }
        for unit in own.report["units"]:
            # Through the alias: the cut-over has been.
            alias = unit["index"].rpartition("-v")[0]
            assert system.ask("GET", f"{alias}/_count")["count"] == counts.pop(
                (unit["stream"], unit["period"])
            )
        assert counts == {}
        for unit, entry in own.copied().items():
            swept = unit.split("/")[0] in SWEPT_STREAMS
            assert entry["action"] == ("current" if swept else "copied"), unit


def _runs(system: System, name: str) -> set[str]:
    found = system.client.get(f"/dags/{name}/dagRuns")["dag_runs"]
    return {entry["dag_run_id"] for entry in found}
