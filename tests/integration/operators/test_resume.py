"""Stopping in the middle and going on."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import Interrupted
from tests.integration.operators.errors import told
from tests.integration.operators.stage import Run, Stage, TaskStateStore

UNIT = "events/acme/2025-01"
ROWS = 6_000
LIMITS = {"chunk": "64KiB", "in_flight": 1, "checkpoint_every": "100ms", "page_rows": 300}
ROWS_IN_THE_PIPELINE = 1_500
"""At most five chunks of about 290 rows are on their way."""


def slow(stage: Stage) -> None:
    """Small steps, so that there is a middle."""
    stage.configure(limits=LIMITS)
    stage.fill(ROWS)


def stop_at_first_checkpoint(run: Run) -> Any:
    """A copying operator that Airflow will ask to stop in the middle."""
    operator = run.backfill_operator()

    def stop(key: str, value: Any) -> None:
        if key == "checkpoint" and value["record"]["phase"] == "copying":
            operator.on_kill()

    run.store("backfill 0").on_set = stop
    return operator


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_an_asked_for_stop(each_stage: Stage, state: str) -> None:
    """With task state it is a retry, without it the next DAG run, on another machine maybe."""
    stage = each_stage
    slow(stage)
    run = stage.run()
    run.plan()
    with told(Interrupted, UNIT, "Airflow asked the task to stop", retried=True):
        run.backfill(operator=stop_at_first_checkpoint(run))

    with stage.ledger() as ledger:
        stored = ledger.units.state(stage.migration, UNIT)
    assert stored is not None
    assert stored.phase.value == "copying"
    assert stored.checkpoint is not None
    assert stored.checkpoint.cursor is not None
    safe = stored.counters.documents
    assert 0 < safe < ROWS
    assert run.store("backfill 0")["checkpoint"]["record"] == stored.checkpoint.to_json()
    assert safe <= stage.count(stage.index(UNIT)) <= safe + ROWS_IN_THE_PIPELINE
    settings = stage.settings(stage.index(UNIT))
    assert settings["index.refresh_interval"] == "30s"
    assert settings["index.number_of_replicas"] == "0"

    if state == "kept":
        run.store("backfill 0").on_set = lambda key, value: None
        later = run
    else:
        later = stage.run()
        later.plan()
    counted = later.backfill()["units"][UNIT]
    assert counted["action"] == "resumed"
    assert counted["documents"] == ROWS
    assert counted["read"] == ROWS, "the checkpoint is exact: no row counts twice"
    assert later.prove()[UNIT]["verdict"] == "equal"
    assert later.swap()["swapped"] == [UNIT]


def test_an_index_that_is_gone_is_filled_from_the_start(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    slow(stage)
    run = stage.run()
    run.plan()
    with pytest.raises(Interrupted):
        run.backfill(operator=stop_at_first_checkpoint(run))
    stage.client.request("DELETE", f"/{stage.index(UNIT)}")
    run.store("backfill 0").on_set = lambda key, value: None
    counted = run.backfill()["units"][UNIT]
    assert counted["action"] == "copied"
    assert counted["documents"] == ROWS
    assert "is gone since the last checkpoint: copying from the start" in capfd.readouterr().out
    assert run.prove()[UNIT]["verdict"] == "equal"


def test_a_copied_index_that_is_gone_is_filled_anew(stage: Stage) -> None:
    stage.fill(100)
    stage.run().whole()
    stage.client.request("DELETE", f"/{stage.index(UNIT)}")
    report = stage.run().whole()
    assert report["outcome"] == "completed"
    assert stage.count(f"{stage.prefix}-events-acme") == 100


def test_task_state_of_another_lane_is_not_believed(stage: Stage) -> None:
    """After a plan of fewer lanes Airflow hands a task the state of its position."""
    stage.fill(100)
    run = stage.run()
    run.plan()
    store: TaskStateStore = run.store("backfill 0")
    record = {
        "unit": UNIT,
        "definition": "?",
        "phase": "copied",
        "attempt": 10**6,
        "upper": "2025-02-01T00:00:00+00:00",
        "cursor": {"event_time": "2025-01-31 00:00:00+00", "key": "e99999"},
        "counters": {"read": 1, "documents": 1, "rejected": 0, "bytes": 1},
        "format": 1,
    }
    for wrong in ({"lane": 0, "record": record}, {"lane": 5, "record": record}, {"lane": 0}, "?"):
        store["checkpoint"] = wrong
        stage.execute("UPDATE events SET note = note || '0'")
        run.backfill()
        assert run.prove()[UNIT] | {"certificate": ""} == {
            "verdict": "equal",
            "rows": 100,
            "documents": 100,
            "held_back": 0,
            "rejected": 0,
            "certificate": "",
        }


def test_a_task_state_that_cannot_be_written_loses_nothing(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    stage.fill(100)
    run = stage.run()
    run.plan()

    def refuse(key: str, value: Any) -> None:
        raise AirflowRuntimeError(
            ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 503})
        )

    run.store("backfill 0").on_set = refuse
    assert run.backfill()["units"][UNIT]["documents"] == 100
    assert "task state isn't written, the ledger has it" in capfd.readouterr().out
    assert stage.phase(UNIT) == "copied"


def test_a_supervisor_that_is_gone_ends_the_attempt(stage: Stage) -> None:
    slow(stage)
    run = stage.run()
    run.plan()

    def gone(key: str, value: Any) -> None:
        raise BrokenPipeError("the supervisor's socket is closed")

    run.store("backfill 0").on_set = gone
    with told(Interrupted, UNIT, "the task's supervisor is gone", retried=True):
        run.backfill()
    assert stage.phase(UNIT) == "copying"
    run.store("backfill 0").on_set = lambda key, value: None
    assert run.backfill()["units"][UNIT]["action"] == "resumed"
    assert run.prove()[UNIT]["verdict"] == "equal"
