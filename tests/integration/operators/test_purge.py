"""A purge through its operators: real source, engine and ledger; everything else untouched."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.hooks.content import ObjectStorageContent
from devstack.sampledata import PROFILES, DifySchema
from devstack.sampledata.load import load
from tests.integration.operators.run import Run, TaskInstance
from tests.integration.operators.stage import Stage

if TYPE_CHECKING:
    from devstack.opensearch import OpenSearchServer
    from tests.integration.operators.fixtures import StageMaker

PROFILE = replace(PROFILES["test"], runs_per_month=12)
TENANT, OTHER = PROFILE.tenant_ids
TABLES = (
    *("workflow_runs", "workflow_app_logs", "workflow_node_executions", "messages"),
    *("workflow_node_execution_offload", "upload_files", "workflow_pauses"),
    *("workflow_pause_reasons", "workflow_trigger_logs"),
)
OLD_TABLES = TABLES[:4]


class Dify:
    """A Dify database on a stage."""

    def __init__(self, stage: Stage, schema: DifySchema, files: Path) -> None:
        self.stage, self.files = stage, files
        self.tables = TABLES if schema is DifySchema.NEW else OLD_TABLES
        load(stage.source_dsn, PROFILE, schema, files)
        self.configure()

    def configure(self, **changes: Any) -> None:
        options: dict[str, Any] = {
            "pack": "dify",
            "streams": None,
            "to": PROFILE.last_day,
            "offload": {"url": f"file://{self.files}"},
            "purge": {"approval": False},
        }
        self.stage.configure(tenants=[TENANT, OTHER], **{**options, **changes})

    def migrate(self, tenant: str = TENANT) -> Run:
        run = self.stage.run(tenant)
        run.whole()
        return run

    def task(self, operator: Any, **params: Any) -> Any:
        run = self.stage.run(operator.tenant, **params)
        return operator.execute(
            {"ti": TaskInstance(run, operator.task_id), "params": params, "task_state_store": {}}
        )

    def plan(self, tenant: str = TENANT, **params: Any) -> dict[str, Any]:
        from airflow_provider_logmigrate.operators.purge import PurgePlanOperator

        operator = PurgePlanOperator(
            task_id="plan", migration=self.stage.migration, tenant=tenant, approved_later=True
        )
        found: dict[str, Any] = self.task(operator, **params)
        return found

    def purge(self, plan_hash: str, tenant: str = TENANT) -> dict[str, Any]:
        from airflow_provider_logmigrate.operators.purge import PurgeSourceOperator

        operator = PurgeSourceOperator(
            task_id="purge", migration=self.stage.migration, tenant=tenant, plan_hash=plan_hash
        )
        done: dict[str, Any] = self.task(operator)
        return done

    def restore(self, tenant: str = TENANT) -> dict[str, Any]:
        from airflow_provider_logmigrate.operators.restore import RestoreOperator

        operator = RestoreOperator(task_id="restore", migration=self.stage.migration, tenant=tenant)
        done: dict[str, Any] = self.task(operator)
        return done

    def rows(self) -> dict[str, dict[str, str]]:
        """Every row of every table, as text, by key."""
        return {
            table: dict(
                self.stage.execute(f"SELECT id::text, row_to_json(t)::text FROM {table} AS t")
            )
            for table in self.tables
        }

    def objects(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.files)): path.read_bytes()
            for path in sorted(self.files.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(params=[DifySchema.NEW, DifySchema.OLD], ids=["new", "old"])
def dify(
    request: pytest.FixtureRequest,
    opensearch_server: OpenSearchServer,
    stage_on: StageMaker,
    tmp_path: Path,
) -> Dify:
    stage = stage_on(opensearch_server, events=False)
    return Dify(stage, request.param, tmp_path / "files")


ENDED = {"succeeded", "failed", "partial-succeeded", "stopped"}


def that_should_go(rows: dict[str, dict[str, str]], tenant: str) -> dict[str, set[str]]:
    """Found anew, from the rows alone: ended runs of the tenant with all that hangs on them."""
    parsed = {
        table: {key: json.loads(text) for key, text in found.items()}
        for table, found in rows.items()
    }

    def hanging(table: str, column: str, on: set[str]) -> set[str]:
        return {key for key, row in parsed.get(table, {}).items() if row[column] in on}

    runs = {
        key
        for key, row in parsed["workflow_runs"].items()
        if row["tenant_id"] == tenant and row["status"] in ENDED
    }
    nodes = hanging("workflow_node_executions", "workflow_run_id", runs)
    links = hanging("workflow_node_execution_offload", "node_execution_id", nodes)
    named = {parsed["workflow_node_execution_offload"][key]["file_id"] for key in links}
    pauses = hanging("workflow_pauses", "workflow_run_id", runs)
    return {
        "workflow_runs": runs,
        "workflow_app_logs": hanging("workflow_app_logs", "workflow_run_id", runs),
        "workflow_node_executions": nodes,
        "workflow_node_execution_offload": links,
        "upload_files": named,
        "workflow_pauses": pauses,
        "workflow_pause_reasons": hanging("workflow_pause_reasons", "pause_id", pauses),
        "workflow_trigger_logs": hanging("workflow_trigger_logs", "workflow_run_id", runs),
        "messages": set(),
    }


def _refuse(self: ObjectStorageContent, key: str) -> None:
    raise SourceUnavailable("the storage is down", where=key)


def test_a_purge_takes_whole_runs_and_a_restore_brings_every_byte_back(dify: Dify) -> None:
    dify.migrate()
    before, files = dify.rows(), dify.objects()
    expected = that_should_go(before, TENANT)

    planned = dify.plan()
    assert dify.rows() == before, "a plan deletes nothing"
    if dify.objects():
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(ObjectStorageContent, "delete", _refuse)
            with pytest.raises(SourceUnavailable, match="couldn't be deleted yet") as caught:
                dify.purge(planned["plan"])
        assert dify.objects() == files
        done = caught.value.data["report"]
        done["objects"] = dify.purge(planned["plan"])["objects"]  # the task's retry
    else:
        done = dify.purge(planned["plan"])
    after = dify.rows()

    gone = {table: before[table].keys() - after[table].keys() for table in dify.tables}
    assert gone == {table: expected[table] for table in dify.tables}
    for table in dify.tables:
        assert all(before[table][key] == text for key, text in after[table].items())
    assert done["rows"] == {table: len(keys) for table, keys in gone.items() if keys}
    with dify.stage.ledger() as ledger:
        counted: Counter[str] = Counter()
        for unit in ledger.deletions.units(dify.stage.migration, tenant=TENANT):
            counted.update(ledger.deletions.counts(dify.stage.migration, unit))
    assert counted == Counter(done["rows"])
    named = {json.loads(before["upload_files"][key])["key"] for key in expected["upload_files"]}
    assert dify.objects() == {key: data for key, data in files.items() if key not in named}
    assert done["objects"] == len(named)

    # What was purged still counts: the tenant's DAG goes on as before, and finds no difference.
    report = dify.migrate()
    assert report.states["validate"] == "success"
    assert dify.purge(planned["plan"])["rows"] == {}

    restored = dify.restore()

    assert sum(unit["rows"] for unit in restored.values()) == sum(done["rows"].values())
    assert dify.rows() == before
    assert dify.objects() == files
    with dify.stage.ledger() as ledger:
        assert ledger.deletions.units(dify.stage.migration) == []
    assert dify.migrate().states["validate"] == "success"
    # And once more: what came back can go again.
    assert dify.purge(dify.plan()["plan"])["rows"] == done["rows"]
