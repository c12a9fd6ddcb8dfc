"""Everything that forbids a purge, tried through the operators; and what goes with a purge."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import PlanUnusable, TargetRefused
from airflow_provider_logmigrate.operators.purge import PurgePlanOperator, PurgeSourceOperator
from airflow_provider_logmigrate.operators.restore import RestoreOperator
from tests.integration.operators.run import TaskInstance
from tests.integration.operators.stage import Stage

UNIT = "events/acme/2025-01"


def configure(stage: Stage, purge: dict[str, Any] | None = None, **changes: Any) -> None:
    stage.configure(purge={"approval": False, **(purge or {})}, **changes)


def execute(stage: Stage, operator: Any, **params: Any) -> Any:
    run = stage.run(**params)
    context = {"ti": TaskInstance(run, operator.task_id), "params": params}
    return operator.execute(context)


def names(stage: Stage) -> dict[str, str]:
    return {"migration": stage.migration, "tenant": "acme"}


def plan(stage: Stage, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = execute(
        stage, PurgePlanOperator(task_id="plan", approved_later=True, **names(stage)), **params
    )
    return found


def purge(stage: Stage, plan_hash: str) -> dict[str, Any]:
    operator = PurgeSourceOperator(task_id="purge", plan_hash=plan_hash, **names(stage))
    done: dict[str, Any] = execute(stage, operator)
    return done


def refusal(stage: Stage, plan_hash: str) -> str:
    """What is said of a plan's only unit, which may not be purged any more."""
    with pytest.raises(PlanUnusable, match="1 of 1 units weren't purged") as refused:
        purge(stage, plan_hash)
    (why,) = refused.value.data["report"]["refused"].values()
    assert why in str(refused.value)
    return str(why)


def restore(stage: Stage, **params: Any) -> dict[str, Any]:
    done: dict[str, Any] = execute(
        stage, RestoreOperator(task_id="restore", **names(stage)), **params
    )
    return done


def count(stage: Stage) -> int:
    return int(stage.execute("SELECT count(*) FROM events")[0][0])


def reasons(stage: Stage, plan_hash: str) -> list[str]:
    with stage.ledger() as ledger:
        return list(ledger.deletions.plans.load(plan_hash).kept.get(UNIT, ()))


@pytest.fixture
def migrated(stage: Stage) -> Stage:
    configure(stage)
    stage.fill(30)
    stage.run().whole()
    return stage


def test_a_plan_names_what_goes_and_only_its_hash_lets_it_go(migrated: Stage) -> None:
    planned = plan(migrated)
    assert (planned["units"], planned["rows"], planned["kept"]) == (1, 30, 0)
    assert count(migrated) == 30

    with pytest.raises(PlanUnusable, match="no such purge plan"):
        purge(migrated, "0" * 64)
    other = {"migration": migrated.migration, "tenant": "beta"}
    with pytest.raises(PlanUnusable, match="is logs's for tenant acme"):
        execute(migrated, PurgeSourceOperator(task_id="purge", plan_hash=planned["plan"], **other))
    assert count(migrated) == 30

    done = purge(migrated, planned["plan"])
    assert done["rows"] == {"events": 30}
    assert any("VACUUM (ANALYZE) events" in line for line in done["advice"])
    assert count(migrated) == 0


def test_an_own_table_comes_back_byte_for_byte(migrated: Stage) -> None:
    rows = migrated.execute("SELECT * FROM events ORDER BY id")
    purge(migrated, plan(migrated)["plan"])

    with pytest.raises(PlanUnusable, match="nothing was purged of this unit"):
        restore(migrated, units=["events/acme/2024-01"])
    restored = restore(migrated, units=[UNIT])

    assert restored[UNIT]["rows"] == 30
    assert migrated.execute("SELECT * FROM events ORDER BY id") == rows
    with pytest.raises(PlanUnusable, match="or all of it is restored"):
        restore(migrated, units=[UNIT])


@pytest.mark.parametrize(
    ("purge_block", "reason"),
    [
        ({"hold": [{"tenant": "acme"}]}, "it is under legal hold"),
        ({"hold": [{"from": "2025-01-31", "to": "2025-01-31"}]}, "it is under legal hold"),
        ({"floor_age": "36500d"}, "the period ends 2025-02-01, less than 36500 days ago"),
    ],
)
def test_rules_keep_a_unit_in_the_plan_and_in_the_run(
    migrated: Stage, purge_block: dict[str, Any], reason: str
) -> None:
    planned = plan(migrated)
    configure(migrated, purge_block)

    why = refusal(migrated, planned["plan"])
    again = plan_without_units(migrated)

    assert why == f"{UNIT}: {reason}"
    assert count(migrated) == 30
    assert reasons(migrated, again["plan"]) == [reason]


def plan_without_units(stage: Stage) -> dict[str, Any]:
    from airflow.sdk import DAG
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    from airflow_provider_logmigrate.operators.problems import ConfigurationProblemsOperator

    with DAG("logmigrate_logs.purge", schedule=None):
        operator = PurgePlanOperator(task_id="plan", migration=stage.migration, tenant="acme")
        operator >> ConfigurationProblemsOperator(task_id="purge", problems=[])
    run = stage.run()
    context: Any = {"ti": TaskInstance(run, "plan"), "params": {}}
    with pytest.raises(DownstreamTasksSkipped):
        operator.execute(context)
    found: dict[str, Any] = run.xcoms["plan", "return_value"]
    return found


def test_without_approval_a_run_only_plans(migrated: Stage) -> None:
    planned = plan_without_units(migrated)

    assert planned["units"] == 1
    assert count(migrated) == 30


def test_a_unit_that_isnt_cut_over_any_more_stays(migrated: Stage) -> None:
    planned = plan(migrated)
    index = migrated.index(UNIT)
    alias = index.removesuffix("-v1")
    action = {"remove": {"index": index, "alias": alias}}
    migrated.client.request("POST", "/_aliases", body={"actions": [action]})

    assert "it isn't cut over" in refusal(migrated, planned["plan"])
    assert count(migrated) == 30


def test_a_changed_definition_keeps_it(migrated: Stage) -> None:
    planned = plan(migrated)
    migrated.execute("ALTER TABLE events ADD COLUMN more text")

    assert "changed since it was copied" in refusal(migrated, planned["plan"])


def test_an_open_period_and_one_that_isnt_before_the_day_stay(stage: Stage) -> None:
    now = datetime.now(timezone.utc)
    open_range: dict[str, Any] = {"from": f"{now - timedelta(days=40):%Y-%m-%d}", "to": None}
    configure(stage, **open_range)
    stage.execute("INSERT INTO events VALUES ('e1', 'acme', %s, 'done', '')", (now,))
    stage.run().whole()

    kept = plan_without_units(stage)

    assert (kept["units"], kept["kept"]) == (0, 1)


def test_changed_rows_stay_and_are_told(migrated: Stage) -> None:
    planned = plan(migrated)
    migrated.execute("UPDATE events SET note = 'changed' WHERE id = 'e00007'")

    done = purge(migrated, planned["plan"])

    assert migrated.execute("SELECT id FROM events") == [("e00007",)]
    assert done["stayed"] == {UNIT: {"a row of events changed since it was copied": 1}}


def test_a_purge_that_finds_every_row_changed_fails_and_says_so(migrated: Stage) -> None:
    planned = plan(migrated)
    migrated.execute("UPDATE events SET note = 'changed'")

    with pytest.raises(PlanUnusable, match="nothing was purged: a row of events changed since"):
        purge(migrated, planned["plan"])

    assert count(migrated) == 30


def test_the_same_plan_again_deletes_nothing_more_and_is_no_failure(migrated: Stage) -> None:
    planned = plan(migrated)
    migrated.execute("UPDATE events SET note = 'changed' WHERE id = 'e00007'")
    purge(migrated, planned["plan"])

    again = purge(migrated, planned["plan"])

    assert again["rows"] == {}
    assert again["stayed"] == {UNIT: {"a row of events changed since it was copied": 1}}
    assert count(migrated) == 1


def test_without_a_purge_block_nothing_is_ever_deleted(migrated: Stage) -> None:
    planned = plan(migrated)
    migrated.configure()

    with pytest.raises(PlanUnusable, match="doesn't allow a purge"):
        purge(migrated, planned["plan"])
    with pytest.raises(PlanUnusable, match="doesn't allow a purge"):
        plan(migrated)
    assert count(migrated) == 30


def test_the_indices_are_snapshotted_before_the_first_row_goes(migrated: Stage) -> None:
    repository = f"{migrated.prefix}-backup"
    configure(migrated, {"snapshot": repository})
    planned = plan(migrated)
    with pytest.raises(TargetRefused):
        purge(migrated, planned["plan"])
    assert count(migrated) == 30, "no repository, no deletion"

    settings = {"type": "fs", "settings": {"location": repository}}
    migrated.client.request("PUT", f"/_snapshot/{repository}", body=settings)
    try:
        done = purge(migrated, planned["plan"])
        name = f"/_snapshot/{repository}/logmigrate-purge-{planned['plan'][:16]}"
        (snapshot,) = migrated.client.request("GET", name).data["snapshots"]
        migrated.client.request("DELETE", name)
    finally:
        migrated.client.request("DELETE", f"/_snapshot/{repository}")

    assert done["rows"] == {"events": 30}
    assert (snapshot["state"], snapshot["indices"]) == ("SUCCESS", [migrated.index(UNIT)])


def test_a_restore_finds_missing_documents_and_foreign_rows(migrated: Stage) -> None:
    from airflow_provider_logmigrate.core.errors import RestoreFailed

    purge(migrated, plan(migrated)["plan"])
    migrated.add("e00003", "2025-01-03T00:00:00+00:00", note="somebody else's")
    with pytest.raises(RestoreFailed, match="isn't the same"):
        restore(migrated)
    assert count(migrated) == 1, "the batch is whole or not at all"
    migrated.execute("DELETE FROM events")
    index = migrated.index(UNIT)
    gone = migrated.client.request("GET", f"/{index}/_doc/e00004").data["_source"]
    migrated.client.request("DELETE", f"/{index}/_doc/e00004", params={"refresh": "true"})

    with pytest.raises(RestoreFailed, match="1 documents of events are missing"):
        restore(migrated)
    assert count(migrated) == 0

    body = json.dumps(gone).encode()
    migrated.client.request("PUT", f"/{index}/_doc/e00004", params={"refresh": "true"}, body=body)
    assert restore(migrated)[UNIT]["rows"] == 30


def test_a_vacuum_runs_on_request(migrated: Stage) -> None:
    configure(migrated, {"vacuum": True})

    purge(migrated, plan(migrated)["plan"])

    looked = "SELECT last_vacuum IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'events'"
    assert migrated.execute(looked) == [(True,)]


@pytest.mark.parametrize("layout", ["per_tenant", "shared"])
def test_both_engines_and_layouts_purge_and_restore(each_stage: Stage, layout: str) -> None:
    stage = each_stage
    configure(stage, layout=layout, tenants=["acme", "beta"])
    stage.fill(30)
    stage.fill(10, tenant="beta", first=100)
    for tenant in ("acme", "beta"):
        stage.run(tenant).whole()
    rows = stage.execute("SELECT * FROM events ORDER BY id")

    done = purge(stage, plan(stage)["plan"])

    assert done["rows"] == {"events": 30}
    assert stage.execute("SELECT DISTINCT tenant FROM events") == [("beta",)]
    assert restore(stage)[UNIT]["rows"] == 30
    assert stage.execute("SELECT * FROM events ORDER BY id") == rows


def test_a_restore_that_died_before_its_note_is_repeated(
    migrated: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_logmigrate.core.errors import LedgerUnavailable
    from airflow_provider_logmigrate.ledger.deletions import Deletions

    purge(migrated, plan(migrated)["plan"])

    def die(self: Deletions, migration: str, batch: object) -> None:
        raise LedgerUnavailable("gone", where=migration)

    with monkeypatch.context() as broken:
        broken.setattr(Deletions, "mark_restored", die)
        with pytest.raises(LedgerUnavailable):
            restore(migrated)
    assert count(migrated) == 30

    assert restore(migrated)[UNIT]["rows"] == 0, "they were back already, and proven"
    with migrated.ledger() as ledger:
        assert ledger.deletions.units(migrated.migration) == []
        assert ledger.deletions.gone(migrated.migration, UNIT) == {}


def test_a_lost_document_of_a_purged_row_fails_the_proof(migrated: Stage) -> None:
    from airflow_provider_logmigrate.core.errors import ProofFailed

    migrated.execute("UPDATE events SET note = 'changed' WHERE id = 'e00000'")
    purge(migrated, plan(migrated)["plan"])
    migrated.client.request(
        "DELETE", f"/{migrated.index(UNIT)}/_doc/e00004", params={"refresh": "true"}
    )

    with pytest.raises(ProofFailed, match="purged rows of this hour"):
        migrated.run().whole()


def test_an_emptied_partition_is_dropped_and_comes_back_with_its_rows(stage: Stage) -> None:
    configure(stage)
    stage.execute(
        "DROP TABLE events;"
        "CREATE TABLE events (id text NOT NULL, tenant text NOT NULL, at timestamptz NOT NULL,"
        " state text NOT NULL, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
        "CREATE TABLE events_january PARTITION OF events"
        " FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00')"
    )
    stage.fill(30)
    stage.run().whole()
    rows = stage.execute("SELECT * FROM events ORDER BY id")
    planned = plan(stage)
    with stage.ledger() as ledger:
        [unit] = ledger.deletions.plans.load(planned["plan"]).units
    assert "partition public.events_january is dropped once it is empty" in unit.notes

    done = purge(stage, planned["plan"])

    assert done["partitions"] == ["public.events_january"]
    assert stage.execute("SELECT to_regclass('events_january')") == [(None,)]
    assert purge(stage, planned["plan"])["partitions"] == []
    restore(stage)
    assert stage.execute("SELECT * FROM events_january ORDER BY id") == rows
