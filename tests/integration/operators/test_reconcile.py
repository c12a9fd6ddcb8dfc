"""Units that differ from their source are repaired, proven, and go on serving meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import Fenced, Interrupted, PlanUnusable, ProofFailed
from tests.integration.operators.errors import told
from tests.integration.operators.stage import Run, Stage, execute

UNIT = "events/acme/2025-01"
REPAIRS: dict[str, Any] = {"reconcile": {}}
SMALL_STEPS = {"chunk": "64KiB", "in_flight": 1, "checkpoint_every": "100ms", "page_rows": 300}


def forget(stage: Stage, *keys: str) -> None:
    for key in keys:
        stage.client.request("DELETE", f"/{stage.index(UNIT)}/_doc/{key}")


def plant(stage: Stage, key: str, at: str = "2025-01-20T00:00:00+00:00", **more: Any) -> None:
    """A document that no copy has made."""
    body = {"id": key, "tenant": "acme", "at": at, "state": "done", "note": "9", **more}
    stage.client.request("PUT", f"/{stage.index(UNIT)}/_doc/{key}", body=body)


def alter(stage: Stage, key: str) -> None:
    """Another content behind the fingerprint that the copy has stored."""
    stage.client.request(
        "POST", f"/{stage.index(UNIT)}/_update/{key}", body={"doc": {"note": "never said"}}
    )


def assert_equal(stage: Stage) -> None:
    rows = dict(stage.execute("SELECT id, note FROM events WHERE tenant = 'acme'"))
    found = {key: source["note"] for key, source in stage.documents(stage.index(UNIT)).items()}
    assert found == rows


def copied(stage: Stage, count: int = 200, **changes: Any) -> Run:
    stage.configure(**REPAIRS | changes)
    stage.fill(count)
    run = stage.run()
    run.copy()
    return run


def test_a_validation_repairs_what_differs_and_keeps_extras_until_told(each_stage: Stage) -> None:
    stage = each_stage
    run = copied(stage)
    forget(stage, "e00003", "e00004")
    stage.execute("UPDATE events SET note = 'changed' WHERE id = 'e00100'")
    stage.execute("DELETE FROM events WHERE id = 'e00150'")
    plant(stage, "stranger")
    with told(ProofFailed, UNIT, "extra e00150", "extra stranger", retried=False) as failed:
        run.prove()
    assert "missing" not in str(failed.value)
    with stage.ledger() as ledger:
        proofs = ledger.history.list(subject=f"{stage.migration}/{UNIT}")
    assert [e.action for e in proofs].count("certificate.saved") == 2
    assert stage.documents(stage.index(UNIT))["e00100"]["note"] == "changed"
    assert stage.count(stage.index(UNIT)) == 201

    later = stage.run(remove_extras=True)
    later.copy()
    proven = later.prove()[UNIT]
    assert (proven["verdict"], proven["removed"]) == ("equal", 2)
    assert_equal(stage)
    with stage.ledger() as ledger:
        history = ledger.history.list(subject=f"{stage.migration}/{UNIT}")
    (removing,) = [entry for entry in history if entry.action == "documents.removing"]
    assert set(removing.detail["keys"]) == {"e00150", "stranger"}
    assert later.swap()["swapped"] == [UNIT]
    # A row that comes back is a row like any other.
    stage.add("e00150", "2025-01-24 06:00+00")
    assert stage.run().whole()["outcome"] == "completed"
    assert_equal(stage)


def test_a_served_index_is_repaired_while_it_serves(stage: Stage) -> None:
    run = copied(stage)
    run.prove()
    run.swap()
    aliases, settings = stage.aliases(), stage.settings(stage.index(UNIT))
    stage.configure()  # without repairs
    forget(stage, "e00007")
    alter(stage, "e00008")
    with told(ProofFailed, "missing e00007", retried=False):
        run.validate(mode="full")
    assert run.reconcile_operator().template_fields == ("plan_hash", "units")
    seen: list[dict[str, str]] = []
    run.store("reconcile").on_set = lambda key, value: seen.append(
        stage.settings(stage.index(UNIT))
    )
    stage.configure(**REPAIRS)
    repaired = run.reconcile()[UNIT]
    assert (repaired["verdict"], repaired["copied_again"]) == ("equal", 2)
    assert_equal(stage)
    assert seen
    assert {found["index.refresh_interval"] for found in seen} == {"30s"}
    assert stage.settings(stage.index(UNIT)) == settings
    assert stage.aliases() == aliases
    assert run.reconcile() == {}, "no unit differs any more"
    assert run.reconcile(units=[UNIT])[UNIT]["verdict"] == "equal"
    with told(PlanUnusable, "events/acme/2024-12", retried=False):
        run.reconcile(units=["events/acme/2024-12"])


def test_a_fingerprint_proof_does_not_see_an_altered_document_a_full_one_repairs_it(
    stage: Stage,
) -> None:
    run = copied(stage)
    alter(stage, "e00008")
    assert run.validate(mode="fingerprint")[UNIT]["verdict"] == "equal"
    assert stage.documents(stage.index(UNIT))["e00008"]["note"] == "never said"
    proven = run.validate(mode="full")[UNIT]
    assert (proven["verdict"], proven["copied_again"]) == ("equal", 1)
    assert_equal(stage)


def test_a_row_that_moved_keeps_its_document_here_and_is_told(stage: Stage) -> None:
    run = copied(stage, tenants=("acme", "other"))
    stage.execute("UPDATE events SET tenant = 'other' WHERE id = 'e00010'")
    stage.execute("UPDATE events SET at = '2025-02-03' WHERE id = 'e00011'")
    with told(ProofFailed, "extra e00010", "extra e00011", "2 documents", "kept", retried=False):
        run.reconcile(units=[UNIT], remove_extras=True)
    assert {"e00010", "e00011"} <= stage.documents(stage.index(UNIT)).keys()


def test_extras_of_a_unit_with_purged_rows_may_be_the_last_copies(stage: Stage) -> None:
    run = copied(stage)
    stage.execute("DELETE FROM events WHERE id IN ('e00010', 'e00011')")
    execute(
        stage.ledger_dsn,
        "INSERT INTO logmigrate.deletion_hour (migration, unit, hour, rows, high, low)"
        " SELECT %s, %s, date_trunc('hour', timestamptz '2025-01-02 13:00+00'), 1, 5, 5",
        (stage.migration, UNIT),
    )
    with told(ProofFailed, UNIT, "rows were purged", retried=False):
        run.reconcile(units=[UNIT], remove_extras=True)
    assert stage.count(stage.index(UNIT)) == 200


def test_more_differences_than_allowed_touch_nothing(stage: Stage) -> None:
    run = copied(stage, reconcile={"max_documents": 2})
    forget(stage, "e00003", "e00004", "e00005")
    with told(
        ProofFailed, UNIT, "missing e00003", "e00005", "more documents differ than the 2 allowed",
        retried=False,
    ):  # fmt: skip
        run.prove()
    assert stage.count(stage.index(UNIT)) == 197
    assert run.reconcile(max_documents=3)[UNIT]["verdict"] == "equal"


@pytest.fixture
def half(stage: Stage) -> Run:
    """2,000 rows, of which every other one has lost its document; a repair takes seconds."""
    run = copied(stage, 2_000, limits=SMALL_STEPS)
    stage.configure(**REPAIRS, limits={**SMALL_STEPS, "documents_per_second": 400})
    stage.client.request("POST", f"/{stage.index(UNIT)}/_refresh")
    stage.client.request(
        "POST",
        f"/{stage.index(UNIT)}/_delete_by_query",
        body={"query": {"regexp": {"id": "e[0-9]*[02468]"}}},
        params={"refresh": "true"},
    )
    assert stage.count(stage.index(UNIT)) == 1_000
    return run


def test_stopped_in_the_middle_the_next_attempt_finishes(half: Run) -> None:
    stage = half.stage
    operator = half.reconcile_operator(units=[UNIT])
    half.store("reconcile").on_set = lambda key, value: operator.on_kill()
    with told(Interrupted, UNIT, retried=True):
        half.reconcile(operator=operator)
    assert stage.phase(UNIT) == "copied", "a repair never makes a copied unit an unfinished one"
    assert stage.count(stage.index(UNIT)) < 2_000
    half.store("reconcile").on_set = lambda key, value: None
    assert half.reconcile(units=[UNIT])[UNIT]["verdict"] == "equal"
    assert stage.count(stage.index(UNIT)) == 2_000


def test_an_attempt_that_was_overtaken_ends_and_does_no_harm(half: Run) -> None:
    stage = half.stage
    operator = half.reconcile_operator(units=[UNIT])

    def overtake(key: str, value: Any) -> None:
        half.store("reconcile").on_set = lambda key, value: None
        with stage.ledger() as ledger:
            plan = ledger.plans.load(half.lanes[0]["plan"]).units[0]
            attempt = ledger.units.begin_attempt()
            ledger.units.claim(stage.migration, plan, attempt=attempt, holder="another")

    half.store("reconcile").on_set = overtake
    with told(Fenced, UNIT, "another", retried=False):
        half.reconcile(operator=operator)
    half.store("reconcile").on_set = lambda key, value: None
    assert half.reconcile(units=[UNIT])[UNIT]["verdict"] == "equal"
    assert_equal(stage)


def test_in_a_shared_index_only_the_tenants_own_documents_are_removed(stage: Stage) -> None:
    stage.configure(tenants=("acme", "other"), layout="shared", **REPAIRS)
    stage.fill(100)
    stage.fill(100, tenant="other", first=500)
    runs = {tenant: stage.run(tenant) for tenant in ("acme", "other")}
    for run in runs.values():
        run.copy()
    stage.execute("DELETE FROM events WHERE id IN ('e00005', 'e00505')")
    runs["acme"].params = {"remove_extras": True}
    assert runs["acme"].prove()[UNIT]["removed"] == 1
    found = stage.documents(f"{stage.prefix}-events-2025.01-v1")
    assert "e00005" not in found
    assert "e00505" in found
    assert len(found) == 199
