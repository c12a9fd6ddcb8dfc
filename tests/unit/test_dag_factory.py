"""The generated DAGs: their shape for each way of approval, their form, their cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_logmigrate.config.entities import Config

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Airflow makes its home when it is first imported."""
    with pytest.MonkeyPatch.context() as patch:
        if "AIRFLOW_HOME" not in os.environ:
            patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        yield


def written(folder: Path, *, tenants: list[str] | None = None, **changes: Any) -> Path:
    migration = {
        "pack": "dify",
        "source": "db",
        "target": "search",
        "tenants": {"list": tenants or ["acme", "a,b", "*"]},
        "from": "2025-01-01",
        **changes,
    }
    document = {
        "version": 1,
        "stores": {
            "db": {"type": "postgres", "connection": "c1"},
            "search": {"type": "opensearch", "connection": "c2"},
        },
        "migrations": {"logs": migration},
    }
    path = folder / "logmigrate.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML
    return path


def config(folder: Path, **changes: Any) -> Config:
    from airflow_provider_logmigrate.config.loader import load

    return load(written(folder, **changes))


def only_dag(folder: Path, **changes: Any) -> DAG:
    from airflow_provider_logmigrate.dag_factory import build_dags

    dags = build_dags(config(folder, tenants=["acme"], **changes))
    assert dags.pop("logmigrate_logs.redrive").dag_display_name == "logs: redrive"
    (dag,) = dags.values()
    return dag


def edges(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}


def test_one_dag_per_tenant_with_reversible_names(tmp_path: Path) -> None:
    from airflow_provider_logmigrate.dag_factory import build_dags

    dags = build_dags(config(tmp_path))
    del dags["logmigrate_logs.redrive"]
    sweep = dags.pop("logmigrate_logs.sweep")
    assert sweep.dag_display_name == "logs: sweep"
    assert list(dags) == ["logmigrate_logs_acme", "logmigrate_logs_a_2cb", "logmigrate_logs__2a"]
    assert [dag.dag_id for dag in dags.values()] == list(dags)
    assert [dag.dag_display_name for dag in dags.values()] == [
        "logs: acme", "logs: a,b", "logs: *",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("approval", "order"),
    [
        ("none", ["dry_run", "backfill", "validate", "swap"]),
        ("before_backfill", ["dry_run", "approval", "backfill", "validate", "swap"]),
        ("before_swap", ["dry_run", "backfill", "validate", "approval", "swap"]),
    ],
)
def test_the_order_of_tasks(tmp_path: Path, approval: str, order: list[str]) -> None:
    dag = only_dag(tmp_path, approval=approval, approval_timeout="3d")
    found = edges(dag)
    assert set(found) == {*order, "report"}
    for earlier, later in zip(order, [*order[1:], "report"], strict=True):
        assert later in found[earlier]
    reported = {task for task in order if "report" in found[task]}
    assert reported == set(order) - {"approval"}, "refused, an approval would skip the report"
    assert dag.get_task("report").trigger_rule == "all_done"
    next_ones = {task: found[task] - {"report"} for task in order}
    # The mapped tasks take their lanes from the plan directly.
    assert next_ones["dry_run"] == {order[1], "backfill", "validate"}
    assert {len(next_ones[task]) for task in order[1:-1]} == {1}
    if approval != "none":
        gate: Any = dag.get_task("approval")
        assert gate.response_timeout.days == 3
        assert "xcom_pull(task_ids='dry_run', key='plan')" in gate.body


def test_lanes_are_mapped_pooled_and_retried(tmp_path: Path) -> None:
    from airflow_provider_logmigrate.operators.retry import LogMigrateRetryPolicy

    dag = only_dag(tmp_path, pool="search_pool", retries=9)
    backfill: Any = dag.get_task("backfill")
    validate: Any = dag.get_task("validate")
    for mapped in (backfill, validate):
        assert mapped.is_mapped
        assert mapped.partial_kwargs["map_index_template"] == "{{ task.lane['lane'] }}"
        assert isinstance(mapped.partial_kwargs["retry_policy"], LogMigrateRetryPolicy)
        assert mapped.retries == 9
    assert backfill.pool == "search_pool"
    assert validate.pool == dag.get_task("swap").pool == "default_pool"
    assert all(task.retries == 9 for task in dag.tasks)
    assert only_dag(tmp_path).get_task("backfill").pool == "default_pool"


def test_one_run_at_a_time_and_no_catching_up(tmp_path: Path) -> None:
    dag = only_dag(tmp_path, schedule="15 3 * * *")
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert str(dag.schedule) == "15 3 * * *"
    assert only_dag(tmp_path).schedule is None
    assert dag.tags == {"logmigrate", "logs"}


def test_the_form(tmp_path: Path) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    dag = only_dag(tmp_path)
    assert dag.params.validate() == {
        "streams": [], "from": None, "to": None, "dry_run": False, "sample": None, "mode": None,
        "remove_extras": False,
    }  # fmt: skip
    good: list[tuple[str, Any]] = [
        ("streams", ["runs", "workflow_app_logs"]),
        ("streams", "all"),
        ("from", "2025-01-01"),
        ("to", None),
        ("dry_run", True),
        ("sample", 1000),
        ("mode", "full"),
        ("mode", None),
        ("mode", "full"),
    ]
    bad: list[tuple[str, Any]] = [
        ("streams", ["workflow"]),
        ("streams", 7),
        ("from", "01.02.2025"),
        ("to", 20250131),
        ("dry_run", "maybe"),
        ("sample", -1),
        ("sample", 100_000),
        ("mode", "thorough"),
        ("mode", "thorough"),
    ]
    for name, value in good:
        assert dag.params.get_param(name).resolve(value) == value
    for name, value in bad:
        with pytest.raises(ParamValidationError):
            dag.params.get_param(name).resolve(value)


def test_parameters_stand_in_the_dag_once_and_reach_its_tasks(tmp_path: Path) -> None:
    """In each task again they made up most of what Airflow stores of a DAG."""
    from airflow.sdk.definitions.param import process_params
    from airflow.serialization.serialized_objects import DagSerialization

    for changes in ({}, {"dags": "grouped"}):
        dag = only_dag(tmp_path, approval="before_swap", **changes)
        stored = DagSerialization.to_dict(dag)["dag"]
        named = [name for name, _ in stored["params"]]
        assert {"streams", "sample"} <= set(named)
        assert len(stored["tasks"]) == 6
        assert not any("params" in task["__var"] for task in stored["tasks"])
        assert not any(
            "params" in task["__var"].get("partial_kwargs", {}) for task in stored["tasks"]
        )
        conf = {"sample": 7, "from": "2025-03-01"}
        for task in dag.tasks:
            found = process_params(dag, task, conf, suppress_exception=False)
            assert {name: found[name] for name in conf} == conf
            assert found["streams"] == []


def test_a_sweep_ends_with_settling_whatever_happens_and_triggers_the_tenants(
    tmp_path: Path,
) -> None:
    from airflow_provider_logmigrate.dag_factory import build_dags

    built = config(tmp_path, tenants=["acme", "sweep"], pool="target")
    dag = build_dags(built)["logmigrate_logs.sweep"]
    assert edges(dag) == {
        "plan_sweep": {"sweep"}, "sweep": {"settle"}, "settle": {"tenants"}, "tenants": set(),
    }  # fmt: skip
    assert dag.get_task("settle").trigger_rule == "all_done"
    sweep: Any = dag.get_task("sweep")
    assert sweep.partial_kwargs["pool"] == "target"
    assert set(dag.params) == {"streams", "from", "to", "dry_run", "then_trigger"}
    grouped = build_dags(built, limit=1)["logmigrate_logs.sweep"].get_task("settle")
    settle: Any = grouped
    assert settle.group_dag == "logmigrate_logs.tenants"


def test_following_is_scheduled_and_never_overlaps_itself(tmp_path: Path) -> None:
    from airflow_provider_logmigrate.dag_factory import build_dags

    assert "logmigrate_logs.follow" not in build_dags(config(tmp_path))
    built = config(tmp_path, follow={"schedule": "*/15 * * * *"}, lanes=3, pool="target")
    dag = build_dags(built)["logmigrate_logs.follow"]
    assert (str(dag.schedule), dag.max_active_runs, dag.catchup) == ("*/15 * * * *", 1, False)
    follow, swap, report = (f"tenants.{name}" for name in ("follow", "swap", "report"))
    found = edges(dag)
    assert found[follow] == {swap}
    assert found[swap] == {report}
    assert dag.get_task(report).trigger_rule == "all_done"
    assert dag.get_task(follow).pool == "target"
    assert {"from", "to"}.isdisjoint(dag.params)
    plan: Any = dag.get_task("dry_run")
    assert plan.most_batches(built.migrations["logs"]) == 3
    assert list(build_dags(built, only="logmigrate_logs.follow")) == ["logmigrate_logs.follow"]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"tenants": ["acme"]}, False),
        ({"tenants": ["acme"], "strategy": "sweep"}, True),
        ({"tenants": ["acme", "b"]}, True),
        ({"tenants": ["acme", "b"], "strategy": "keyset"}, False),
        ({"tenants": ["acme", "b"], "strategy": {"workflow_runs": "keyset"}}, True),
    ],
)
def test_a_migration_has_a_sweep_only_where_a_stream_may_be_swept(
    tmp_path: Path, changes: dict[str, Any], wanted: bool
) -> None:
    from airflow_provider_logmigrate.dag_factory import build_dags

    assert ("logmigrate_logs.sweep" in build_dags(config(tmp_path, **changes))) is wanted


def test_too_many_tenants_share_a_dag(tmp_path: Path) -> None:
    from airflow_provider_logmigrate.dag_factory import build_dags

    built = config(tmp_path, tenants=[f"t{n}" for n in range(6)])
    assert len(build_dags(built, limit=6)) == 6 + 2
    assert list(build_dags(built, limit=5)) == [
        "logmigrate_logs.tenants", "logmigrate_logs.sweep", "logmigrate_logs.redrive",
    ]  # fmt: skip
    assert list(build_dags(built, limit=5, only="logmigrate_logs.tenants")) == [
        "logmigrate_logs.tenants"
    ]
    assert build_dags(built, limit=5, only="logmigrate_logs_t1") == {}


def test_too_many_tenants_that_must_have_dags_are_an_error_and_no_silent_cut(
    tmp_path: Path,
) -> None:
    from airflow_provider_logmigrate.core.errors import ConfigInvalid
    from airflow_provider_logmigrate.dag_factory import build_dags

    built = config(tmp_path, tenants=[f"t{n}" for n in range(6)], dags="per_tenant")
    assert len(build_dags(built, limit=6)) == 6 + 2
    with pytest.raises(ConfigInvalid, match=r"6 tenants.*at most 5.*max_tenant_dags"):
        build_dags(built, limit=5)


def test_the_largest_migrations_are_grouped_until_the_rest_fits(tmp_path: Path) -> None:
    from dataclasses import replace

    from airflow_provider_logmigrate.config.entities import DagsPer
    from airflow_provider_logmigrate.dag_factory.build import grouped

    (model,) = config(tmp_path).migrations.values()

    def migration(name: str, tenants: int, dags: DagsPer = DagsPer.AUTO) -> Any:
        return replace(model, name=name, tenants=tuple(f"t{n}" for n in range(tenants)), dags=dags)

    small, middle, large = migration("s", 2), migration("m", 5), migration("l", 9)
    asked, kept = migration("a", 1, DagsPer.GROUPED), migration("k", 20, DagsPer.TENANT)
    for limit, expected in ((16, ""), (15, "l"), (7, "l"), (6, "lm"), (2, "lm"), (1, "lms")):
        assert grouped([small, large, middle], limit=limit) == frozenset(expected), limit
    assert grouped([asked, small], limit=2) == {"a"}
    assert grouped([kept, small, large], limit=22) == {"l"}


@pytest.mark.parametrize("approval", ["none", "before_backfill", "before_swap"])
def test_the_dag_of_many_tenants(tmp_path: Path, approval: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    dag = only_dag(tmp_path, dags="grouped", approval=approval, lanes=3, pool="p", retries=4)
    assert dag.dag_id == "logmigrate_logs.tenants"
    copying = "copies" if approval == "before_swap" else "tenants"
    way = ["dry_run", f"{copying}.backfill", f"{copying}.validate", "tenants.swap"]
    way.append("tenants.report")
    if approval != "none":
        way.insert(1 if approval == "before_backfill" else 3, "approval")
    assert {task.task_id for task in dag.tasks} == set(way)
    for earlier, later in pairwise(way):
        assert later in dag.get_task(earlier).downstream_task_ids
    # Refused, an approval would skip the report; stopped, a dry run must skip everything.
    if approval != "none":
        assert "tenants.report" not in dag.get_task("approval").downstream_task_ids
    assert dag.get_task("dry_run").downstream_task_ids == set(way) - {"dry_run"}
    assert dag.get_task("tenants.report").trigger_rule == "all_done"
    mapped = [task for task in dag.tasks if "." in task.task_id]
    assert {task.max_active_tis_per_dagrun for task in mapped} == {3}
    assert [task.pool for task in mapped if task.task_id.endswith("backfill")] == ["p"]
    assert {task.retries for task in dag.tasks if task.task_id != "approval"} == {4}
    assert next(iter(dag.params)) == "tenants"
    restored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert type(restored.task_group.children["tenants"]).__name__ == "SerializedMappedTaskGroup"


def test_no_tenant_has_the_id_of_the_dag_of_many() -> None:
    from airflow_provider_logmigrate.core.naming import dag_id, migration_dag_id

    many = migration_dag_id("logs", "tenants")
    for tenant in (".tenants", "tenants", "_tenants", "s.tenants", "log_s"):
        for migration in ("logs", "log", "logs_", "l"):
            assert "." not in dag_id(migration, tenant)
            assert dag_id(migration, tenant) != many


def test_a_wrong_entry_shows_as_a_dag_beside_the_good_ones(tmp_path: Path) -> None:
    from airflow_provider_logmigrate.core.errors import ConfigInvalid
    from airflow_provider_logmigrate.dag_factory import PROBLEMS_DAG, build_dags

    dags = build_dags(config(tmp_path, tenants=["acme", "x" * 300]))
    assert list(dags) == ["logmigrate_logs_acme", "logmigrate_logs.redrive", PROBLEMS_DAG]
    shown = dags[PROBLEMS_DAG]
    assert "migrations.logs.tenants.list[1]" in (shown.doc_md or "")
    task: Any = shown.get_task("show")
    with pytest.raises(ConfigInvalid, match=r"migrations\.logs\.tenants\.list\[1\]"):
        task.execute({})


def test_a_task_process_builds_only_its_own_dag(tmp_path: Path) -> None:
    from airflow_provider_logmigrate.dag_factory import PROBLEMS_DAG, build_dags

    built = config(tmp_path, tenants=["acme", "globex", "x" * 300])
    assert list(build_dags(built, only="logmigrate_logs_globex")) == ["logmigrate_logs_globex"]
    assert list(build_dags(built, only=PROBLEMS_DAG)) == [PROBLEMS_DAG]
    assert build_dags(built, only="another_dag") == {}


def test_reading_twice_gives_the_same_dags(tmp_path: Path) -> None:
    """Otherwise Airflow would store a new version of each DAG at every parse."""
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_provider_logmigrate.dag_factory import build_dags

    def serialised() -> str:
        dags = build_dags(config(tmp_path, approval="before_swap", pool="p", schedule="@daily"))
        texts = [DagSerialization.to_dict(dag) for dag in dags.values()]
        return json.dumps(texts, sort_keys=True)

    once = serialised()
    assert '"backfill"' in once
    assert once == serialised()


PARSE = """
import json, sys
import airflow.sdk
import airflow.providers.standard.operators.hitl
before = set(sys.modules)
namespace = {"__name__": "a_dag_file"}
exec(compile(open(%(file)r).read(), "logmigrate.py", "exec"), namespace)
print(json.dumps({
    "dags": sorted(name for name in namespace if name.startswith("logmigrate_")),
    "modules": sorted(set(sys.modules) - before),
    "all": sorted(sys.modules),
}))
"""
CLIENTS = frozenset(
    {"alembic", "elastic_transport", "elasticsearch", "opensearchpy", "psycopg", "psycopg2"}
)
OURS = ("ledger", "stores")


def test_parsing_the_dag_file_connects_to_nothing_and_imports_no_client(tmp_path: Path) -> None:
    path = written(tmp_path)
    script = PARSE % {"file": str(REPOSITORY / "dags" / "logmigrate.py")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ
        | {
            "AIRFLOW_HOME": str(tmp_path / "home"),
            "AIRFLOW__LOGMIGRATE__CONFIG": str(path),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["dags"] == [
        "logmigrate_logs.redrive",
        "logmigrate_logs.sweep",
        "logmigrate_logs__2a",
        "logmigrate_logs_a_2cb",
        "logmigrate_logs_acme",
    ]
    roots = {name.split(".")[0] for name in found["modules"]}
    assert roots & CLIENTS == set()
    ours = {name for name in found["all"] if name.startswith("airflow_provider_logmigrate.")}
    assert not [name for name in ours if name.split(".")[1] in OURS]
    assert "airflow_provider_logmigrate.reports" not in ours
    assert len(found["modules"]) < 250, found["modules"]


def test_a_purge_block_gives_the_dags_that_delete_and_bring_back(tmp_path: Path) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    from airflow_provider_logmigrate.dag_factory import build_dags

    assert not [name for name in build_dags(config(tmp_path)) if ".purge" in name]

    asked = build_dags(config(tmp_path, purge={}))
    purge, restore = asked["logmigrate_logs.purge"], asked["logmigrate_logs.restore"]
    assert edges(purge) == {"plan": {"approval"}, "approval": {"purge"}, "purge": set()}
    assert edges(restore) == {"restore": set()}
    for dag in (purge, restore):
        with pytest.raises(ParamValidationError, match="No value"):
            dag.params["tenant"]
        assert dag.params.get_param("tenant").resolve("acme") == "acme"
    planned: Any = purge.get_task("plan")
    assert planned.approved_later
    assert purge.max_active_runs == 1
    assert (purge.schedule is None, restore.schedule is None) == (True, True)

    unasked = build_dags(config(tmp_path, purge={"approval": False}))["logmigrate_logs.purge"]
    assert edges(unasked) == {"plan": {"purge"}, "purge": set()}
    planned = unasked.get_task("plan")
    assert not planned.approved_later


def test_the_redrive_dag_asks_for_a_tenant_and_knows_the_streams(tmp_path: Path) -> None:
    from airflow.sdk.exceptions import ParamValidationError
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_provider_logmigrate.dag_factory import build_dags

    name = "logmigrate_logs.redrive"
    (dag,) = build_dags(config(tmp_path), only=name).values()
    assert (dag.dag_id, dag.schedule is None, dag.max_active_runs) == (name, True, 1)
    assert edges(dag) == {"redrive": set()}
    with pytest.raises(ParamValidationError, match="No value"):
        dag.params["tenant"]
    assert dag.params.get_param("streams").resolve(["runs"]) == ["runs"]
    with pytest.raises(ParamValidationError):
        dag.params.get_param("streams").resolve(["nothing"])
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == name


def test_a_purge_dag_survives_serialization(tmp_path: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_provider_logmigrate.dag_factory import build_dags

    for name, dag in build_dags(config(tmp_path, purge={})).items():
        if name.endswith((".purge", ".restore")):
            assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == name
