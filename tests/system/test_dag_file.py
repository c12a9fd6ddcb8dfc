"""The DAG file with wrong entries in its configuration: the right ones go on."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from airflow_provider_logmigrate.core.naming import dag_id
from airflow_provider_logmigrate.dag_factory import PROBLEMS_DAG
from tests.system.migrations import WHOLE, WRONG
from tests.system.rig import DagRun, System


def parsed(system: System, only: str | None) -> dict[str, Any]:
    """What the DAG file makes of the configuration in a process of its own.

    :param only: pretend to be a task process of this DAG.
    """
    script = (
        "import json, runpy, sys\n"
        "found = runpy.run_path(sys.argv[1])\n"
        "from airflow.sdk import DAG\n"
        "dags = {d.dag_id: sorted(d.task_ids) for d in found.values() if isinstance(d, DAG)}\n"
        "clients = {'elastic_transport', 'elasticsearch', 'opensearchpy'} & set(sys.modules)\n"
        "print('PARSED' + json.dumps({'dags': dags, 'clients': sorted(clients)}))\n"
    )
    env = system.airflow.environment()
    if only is not None:
        env |= {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": only}
    done = subprocess.run(
        [sys.executable, "-c", script, str(system.airflow.dags_folder / "logmigrate.py")],
        env=env,
        cwd=system.airflow.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("PARSED")]
    answer: dict[str, Any] = json.loads(line.removeprefix("PARSED"))
    return answer


def test_all_right_entries_have_their_dags_and_no_file_has_an_import_error(system: System) -> None:
    known = {dag["dag_id"] for dag in system.client.get("/dags?limit=100")["dags"]}

    assert {dag_id(WHOLE, tenant) for tenant in system.small.tenants} <= known
    assert not any(name.startswith(f"logmigrate_{WRONG}_") for name in known)
    assert system.client.get("/importErrors")["import_errors"] == []


def test_wrong_entries_are_shown_by_a_dag_of_their_own(system: System) -> None:
    details = system.client.get(f"/dags/{PROBLEMS_DAG}/details")

    for expected in (
        f"migrations.{WRONG}.lanes",
        f"migrations.{WHOLE}.tenants.list[1]",
    ):
        assert expected in details["doc_md"]

    run = DagRun(system, "", "", PROBLEMS_DAG, system.client.trigger(PROBLEMS_DAG))
    assert run.finish() == "failed"
    assert f"migrations.{WHOLE}.tenants.list[1]" in run.log("show")
    assert run.tasks()["show"]["try_number"] == 1


def test_a_task_process_builds_its_own_dag_only(system: System) -> None:
    everything = parsed(system, None)
    assert len(everything["dags"]) > 10
    own = dag_id(WHOLE, system.small.tenants[1])

    alone = parsed(system, own)

    assert alone["dags"] == {own: everything["dags"][own]}
    assert everything["clients"] == alone["clients"] == []
    assert parsed(system, PROBLEMS_DAG)["dags"] == {PROBLEMS_DAG: ["show"]}
