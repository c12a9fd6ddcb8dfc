"""Retention through its operators: real source, engine and ledger; each refusal is tried."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import PlanUnusable, TargetRefused
from airflow_provider_logmigrate.core.retention_run import ItemState
from airflow_provider_logmigrate.operators.retention import (
    RetentionCleanupOperator,
    RetentionPlanOperator,
)
from tests.integration.operators.run import TaskInstance
from tests.integration.operators.stage import EVENT_STREAM, Stage

UNIT = "events/acme/2025-01"
KEYWORD_STATE = {"events": {**EVENT_STREAM, "fields": {"state": {"type": "keyword"}}}}
"""The column is free text, which no rule can go by."""


def configure(stage: Stage, retention: dict[str, Any] | None = None, **changes: Any) -> None:
    block = {"after": "30d", "approval": False, **(retention or {})}
    stage.configure(retention=block, **{"streams": KEYWORD_STATE, **changes})


def execute(stage: Stage, operator: Any, **params: Any) -> Any:
    run = stage.run(**params)
    return operator.execute({"ti": TaskInstance(run, operator.task_id), "params": params})


def plan(stage: Stage, **params: Any) -> dict[str, Any]:
    operator = RetentionPlanOperator(task_id="plan", migration=stage.migration, approved_later=True)
    return dict(execute(stage, operator, **params))


def plan_without_items(stage: Stage) -> dict[str, Any]:
    """A plan behind which nothing is to be done."""
    from airflow.sdk import DAG
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    from airflow_provider_logmigrate.operators.problems import ConfigurationProblemsOperator

    with DAG("logmigrate_logs.retention", schedule=None):
        operator = RetentionPlanOperator(task_id="plan", migration=stage.migration)
        operator >> ConfigurationProblemsOperator(task_id="cleanup", problems=[])
    run = stage.run()
    context: Any = {"ti": TaskInstance(run, "plan"), "params": {}}
    with pytest.raises(DownstreamTasksSkipped):
        operator.execute(context)
    return dict(run.xcoms["plan", "return_value"])


def cleanup(stage: Stage, plan_hash: str) -> dict[str, Any]:
    operator = RetentionCleanupOperator(
        task_id="cleanup", migration=stage.migration, plan_hash=plan_hash
    )
    try:
        return dict(execute(stage, operator))
    except PlanUnusable as refused:
        if "report" not in refused.data:
            raise
        return dict(refused.data["report"])


def reasons(stage: Stage, plan_hash: str, index: str = "") -> tuple[str, ...]:
    with stage.ledger() as ledger:
        return tuple(ledger.retentions.load(plan_hash).kept[index or stage.index(UNIT)])


@pytest.fixture
def migrated(stage: Stage) -> Stage:
    configure(stage)
    stage.fill(30)
    stage.run().whole()
    return stage


@pytest.fixture
def migrated_on_each(each_stage: Stage) -> Stage:
    configure(each_stage)
    each_stage.fill(30)
    each_stage.run().whole()
    return each_stage


def test_an_index_goes_whole_with_its_aliases_and_isnt_copied_again(
    migrated_on_each: Stage,
) -> None:
    stage = migrated_on_each
    index = stage.index(UNIT)
    dry = plan_without_items(stage)
    assert (dry["indices"], dry["documents"]) == (1, 30)
    assert stage.count(index) == 30, "a plan that nobody has seen deletes nothing"

    done = cleanup(stage, plan(stage, plan=dry["plan"])["plan"])

    assert done == {"dropped": {index: 30}, "deleted": {}, "refused": {}}
    assert stage.client.request("GET", f"/{index}", expected=(404,)).status == 404
    assert stage.client.request("GET", f"/{stage.prefix}-*/_alias").data == {}
    with stage.ledger() as ledger:
        (kept,) = ledger.retentions.list(stage.migration)
    assert (kept.state, kept.documents, kept.deleted) == (ItemState.DELETED, 30, 30)
    assert cleanup(stage, dry["plan"])["dropped"] == {}, "it went once"

    # The rows are still in the source; a copy would bring back what is too old.
    run = stage.run()
    assert run.plan() == []
    warnings = run.xcoms["dry_run", "plan"]["warnings"]
    assert any("retention has deleted of them: events/acme/2025-01" in w for w in warnings)
    configure(stage, {"after": "36500d"})
    assert [lane["units"] for lane in stage.run().plan()] == [[UNIT]]


def request(stage: Stage, method: str, path: str, body: Any = None) -> None:
    stage.client.request(method, path, body=body)


def alter_alias(stage: Stage, action: str, **options: Any) -> None:
    names = {"index": stage.index(UNIT), "alias": f"{stage.prefix}-writers", **options}
    request(stage, "POST", "/_aliases", {"actions": [{action: names}]})


def own(stage: Stage, migration: str) -> None:
    """Let the index's ``_meta`` name another migration."""
    index = stage.index(UNIT)
    mappings = stage.client.request("GET", f"/{index}/_mapping").data[index]["mappings"]
    meta = mappings["_meta"]
    meta["logmigrate"]["migration"] = migration
    request(stage, "PUT", f"/{index}/_mapping", {"_meta": meta})


def ledger_sql(stage: Stage, statement: str) -> None:
    from tests.integration.operators.stage import execute as run_sql

    run_sql(stage.ledger_dsn, statement)


def set_phase(stage: Stage, phase: str) -> None:
    ledger_sql(stage, f"UPDATE logmigrate.unit SET phase = '{phase}'")


def begin_purge(stage: Stage) -> None:
    ledger_sql(
        stage,
        "INSERT INTO logmigrate.deletion_batch"
        " (migration, unit, plan, attempt, transaction, state, counts, proven, keys, kept, who)"
        f" VALUES ('logs', '{UNIT}', 'p', 1, 1, 'intended', '{{}}', '{{}}', '', '', 'a test')",
    )


def add_document(stage: Stage) -> None:
    """A document of the index's youngest hour that no row stands for."""
    index = stage.index(UNIT)
    source = stage.documents(index)["e00029"]
    request(stage, "PUT", f"/{index}/_doc/stray?refresh=true", {**source, "id": "stray"})


def where_note(stage: Stage, name: str) -> None:
    configure(stage, {"rules": [{"after": "1d", "where": {name: ["7"]}}]})


HOLD = {"hold": [{"tenant": "acme", "from": "2025-01-31"}]}
REFUSALS: dict[str, tuple[Any, Any, str]] = {
    "hold": (lambda s: configure(s, HOLD), configure, "it is under legal hold"),
    "hold of the purge": (
        lambda s: configure(s, purge=HOLD),
        configure,
        "it is under legal hold",
    ),
    "age": (
        lambda s: configure(s, {"after": "36500d"}),
        configure,
        "30 documents stay, the youngest of 2025-01-30: they go after 36500 days",
    ),
    "rule of the tenant": (
        lambda s: configure(s, {"rules": [{"after": None, "tenant": "acme"}]}),
        configure,
        "30 documents stay: they go never",
    ),
    "text field": (
        lambda s: where_note(s, "note"),
        configure,
        "rules name the field note, which is of type text and can't be compared exactly",
    ),
    "no such field": (
        lambda s: where_note(s, "nothing"),
        configure,
        "rules name the field nothing, which it doesn't have",
    ),
    "write index": (
        lambda s: alter_alias(s, "add", is_write_index=True),
        lambda s: alter_alias(s, "remove"),
        "it is the write index of",
    ),
    "not ours": (lambda s: own(s, "other"), lambda s: own(s, "logs"), "isn't this migration's"),
    "closed": (
        lambda s: request(s, "POST", f"/{s.index(UNIT)}/_close"),
        lambda s: request(s, "POST", f"/{s.index(UNIT)}/_open?wait_for_active_shards=1"),
        "it is closed",
    ),
    "last copy": (
        lambda s: s.execute("DELETE FROM events WHERE id = 'e00029'"),
        lambda s: s.add("e00029", "2025-01-30T23:12:00+00:00"),
        "1 documents have no row in the source: this is their last copy",
    ),
    "stray document": (
        add_document,
        lambda s: request(s, "DELETE", f"/{s.index(UNIT)}/_doc/stray?refresh=true"),
        "1 documents have no row in the source",
    ),
    "copying": (
        lambda s: set_phase(s, "copying"),
        lambda s: set_phase(s, "copied"),
        "its copy isn't finished",
    ),
    "purging": (
        begin_purge,
        lambda s: ledger_sql(s, "DELETE FROM logmigrate.deletion_batch"),
        "an interrupted purge of it isn't finished",
    ),
}


def test_everything_that_forbids_a_deletion_is_seen_by_plan_and_run(
    migrated_on_each: Stage,
) -> None:
    stage, index = migrated_on_each, migrated_on_each.index(UNIT)
    planned = plan(stage)["plan"]
    for name, (forbid, allow, reason) in REFUSALS.items():
        forbid(stage)
        refused = cleanup(stage, planned)
        again = plan_without_items(stage)
        allow(stage)

        assert (refused["dropped"], refused["deleted"]) == ({}, {}), name
        assert refused["refused"][index].startswith("it isn't what was planned any more"), name
        assert reason in refused["refused"][index], name
        assert again["indices"] == 0, name
        assert any(reason in why for why in reasons(stage, again["plan"])), name
    assert stage.count(index) == 30
    with stage.ledger() as ledger:
        assert ledger.retentions.list(stage.migration) == [], "nothing was ever begun"

    # What isn't forbidden but differs from what was approved isn't deleted either.
    alter_alias(stage, "add")
    assert index in cleanup(stage, planned)["refused"]
    alter_alias(stage, "remove")
    assert cleanup(stage, planned)["dropped"] == {index: 30}


def test_only_a_plan_of_this_migration_is_carried_out_and_only_with_a_retention(
    migrated: Stage,
) -> None:
    planned = plan(migrated)["plan"]
    with pytest.raises(PlanUnusable, match="no such retention plan"):
        cleanup(migrated, "0" * 64)
    other = RetentionPlanOperator(task_id="plan", migration="other", quoted=planned)
    with pytest.raises(PlanUnusable, match="the retention plan is logs's"):
        execute(migrated, other)
    migrated.configure(streams=KEYWORD_STATE)
    with pytest.raises(PlanUnusable, match="doesn't allow a retention"):
        cleanup(migrated, planned)
    with pytest.raises(PlanUnusable, match="doesn't allow a retention"):
        plan(migrated)
    configure(migrated)
    ledger_sql(
        migrated,
        "UPDATE logmigrate.retention_plan SET body = replace(body::text, 'acme', 'beta')::json",
    )
    with pytest.raises(PlanUnusable, match="isn't what was saved"):
        cleanup(migrated, planned)
    assert migrated.count(migrated.index(UNIT)) == 30


def test_another_index_of_the_same_name_stays(migrated: Stage) -> None:
    planned, index = plan(migrated)["plan"], migrated.index(UNIT)
    request(migrated, "DELETE", f"/{index}")
    migrated.run().whole()

    assert cleanup(migrated, planned)["refused"] == {index: "the planned index is gone"}
    assert migrated.count(index) == 30


def test_an_open_period_stays_however_old_its_rows_are(stage: Stage) -> None:
    now = datetime.now(timezone.utc)
    first = now.replace(day=1, hour=0, minute=0)
    configure(stage, {"after": "1d"}, **{"from": f"{first:%Y-%m-%d}", "to": None})
    stage.add("e1", first.isoformat())
    stage.run().whole()

    again = plan_without_items(stage)

    index = stage.index(f"events/acme/{now:%Y-%m}")
    (why,) = reasons(stage, again["plan"], index)
    assert why.startswith("its period is open: it ends")


def test_documents_go_by_their_fields_and_the_index_when_nothing_else_is_left(
    stage: Stage,
) -> None:
    rules = [{"after": "30d", "stream": "events", "where": {"state": ["done"]}}]
    configure(stage, {"after": None, "rules": rules})
    stage.fill(30)
    stage.execute("UPDATE events SET state = 'firing' WHERE id < 'e00010'")
    stage.run().whole()
    index = stage.index(UNIT)
    planned = plan(stage)
    assert (planned["indices"], planned["documents"]) == (1, 20)

    done = cleanup(stage, planned["plan"])

    assert done == {"dropped": {}, "deleted": {index: 20}, "refused": {}}
    assert {d["state"] for d in stage.documents(index).values()} == {"firing"}
    assert stage.count(index) == 10
    again = plan_without_items(stage)
    assert reasons(stage, again["plan"]) == (
        f"{UNIT}: 10 documents stay: they go never, where no other rule fits",
    )
    # Not copied again, and the rest goes with the index once its age has come.
    assert stage.run().plan() == []
    configure(stage, {"after": "90d", "rules": rules})
    assert cleanup(stage, plan(stage)["plan"])["dropped"] == {index: 10}


def test_a_tenant_of_a_shared_index_goes_by_itself_the_last_one_with_the_index(
    stage: Stage,
) -> None:
    def allow(**ages: str | None) -> None:
        rules = [{"after": age, "tenant": tenant} for tenant, age in ages.items()]
        configure(stage, {"after": None, "rules": rules}, layout="shared", tenants=["acme", "beta"])

    allow(acme="30d")
    stage.fill(20)
    stage.fill(10, tenant="beta", first=100)
    for tenant in ("acme", "beta"):
        stage.run(tenant).whole()
    index = f"{stage.prefix}-events-2025.01-v1"

    assert cleanup(stage, plan(stage)["plan"])["deleted"] == {index: 20}
    assert {d["tenant"] for d in stage.documents(index).values()} == {"beta"}

    allow(acme="30d", beta="40d")
    assert cleanup(stage, plan(stage)["plan"])["dropped"] == {index: 10}
    assert stage.client.request("GET", f"/{stage.prefix}-*/_alias").data == {}


def test_purged_rows_go_only_if_that_is_said(migrated: Stage) -> None:
    from tests.integration.operators import test_purge_rules as purging

    configure(migrated, purge={"approval": False})
    purging.purge(migrated, purging.plan(migrated)["plan"])
    kept = plan_without_items(migrated)
    assert reasons(migrated, kept["plan"]) == (
        f"{UNIT}: 30 documents have no row in the source: this is their last copy",
    )

    configure(migrated, {"allow_last_copy": True}, purge={"approval": False})

    assert cleanup(migrated, plan(migrated)["plan"])["dropped"] == {migrated.index(UNIT): 30}


def test_a_cap_leaves_the_younger_ones_for_later(stage: Stage) -> None:
    days = {"period": "day", "to": "2025-01-03"}
    configure(stage, {"cap": {"indices": 2}}, **days)
    for day in (1, 2, 3):
        for number in range(day):
            stage.add(f"e{day}{number}", f"2025-01-0{day}T00:00:00+00:00")
    stage.run().whole()
    first, second, third = (stage.index(f"events/acme/2025-01-0{day}") for day in (1, 2, 3))

    planned = plan(stage)
    assert reasons(stage, planned["plan"], third) == (
        "a plan may touch 2 indices: its turn comes later",
    )
    configure(stage, {"cap": {"documents": 2}}, **days)
    small = plan(stage)
    assert "may delete 2 documents, 1 are left" in reasons(stage, small["plan"], second)[0]

    assert cleanup(stage, planned["plan"])["dropped"] == {first: 1, second: 2}
    assert stage.count(third) == 3


def test_the_indices_are_snapshotted_before_the_first_one_goes(migrated: Stage) -> None:
    repository = f"{migrated.prefix}-backup"
    configure(migrated, {"snapshot": repository})
    planned, index = plan(migrated)["plan"], migrated.index(UNIT)
    with pytest.raises(TargetRefused):
        cleanup(migrated, planned)
    assert migrated.count(index) == 30, "no repository, no deletion"

    settings = {"type": "fs", "settings": {"location": repository}}
    request(migrated, "PUT", f"/_snapshot/{repository}", settings)
    name = f"/_snapshot/{repository}/logmigrate-retention-{planned[:16]}"
    try:
        assert cleanup(migrated, planned)["dropped"] == {index: 30}
        (snapshot,) = migrated.client.request("GET", name).data["snapshots"]
        request(migrated, "DELETE", name)
    finally:
        request(migrated, "DELETE", f"/_snapshot/{repository}")

    assert (snapshot["state"], snapshot["indices"]) == ("SUCCESS", [index])
