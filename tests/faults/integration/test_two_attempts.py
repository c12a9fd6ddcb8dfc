"""Two live attempts of one lane: the newer one goes on, the older one ends, nothing differs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import Fenced
from tests.integration.operators.errors import told
from tests.integration.operators.stage import Stage, TaskStateStore

UNIT = "events/acme/2025-01"
ROWS = 6_000
LIMITS = {"chunk": "64KiB", "in_flight": 2, "checkpoint_every": "100ms", "page_rows": 300}


@pytest.mark.parametrize("meanwhile", ["done", "running"])
def test_the_second_attempt_fences_the_first(stage: Stage, meanwhile: str) -> None:
    """As after a lost supervisor: the old process writes on beside its own retry."""
    stage.configure(limits=LIMITS)
    stage.fill(ROWS)
    run = stage.run()
    run.plan()
    halted, going_on = threading.Event(), threading.Event()
    caught: list[Any] = []

    def halt(key: str, value: Any) -> None:
        """Keep the first attempt's bookkeeping, but not its senders, from going on."""
        if key == "checkpoint" and not halted.is_set():
            halted.set()
            assert going_on.wait(60)

    older = TaskStateStore()
    older.on_set = halt
    run.stores["backfill 0"] = older

    def first() -> None:
        try:
            with told(Fenced, UNIT, "was taken over by attempt 2", retried=False) as error:
                run.backfill()
            caught.append(error.value)
        except BaseException as error:  # noqa: BLE001 - looked at by the test's own thread
            caught.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert halted.wait(60)
    newer = TaskStateStore()
    run.stores["backfill 0"] = newer
    if meanwhile == "running":
        newer.on_set = lambda key, value: going_on.set()
        counted = run.backfill()["units"][UNIT]
    else:
        counted = run.backfill()["units"][UNIT]
        going_on.set()
    thread.join(60)
    assert [type(error) for error in caught] == [Fenced], caught
    assert counted["action"] == "resumed"
    assert counted["documents"] == ROWS
    with stage.ledger() as ledger:
        state = ledger.units.state(stage.migration, UNIT)
    assert state is not None
    assert (state.attempt, state.phase.value) == (2, "copied")
    assert run.prove()[UNIT]["verdict"] == "equal"
    assert stage.count(stage.index(UNIT)) == ROWS
    settings = stage.settings(stage.index(UNIT))
    assert settings["index.refresh_interval"] == "30s", "left by the newer one, not the older"


def test_two_attempts_at_the_same_moment(stage: Stage) -> None:
    """No order is given; one wins, and what it says is true."""
    stage.configure(limits=LIMITS)
    stage.fill(ROWS)
    runs = [stage.run(), stage.run()]
    for run in runs:
        run.plan()
    together = threading.Barrier(2)
    ended: list[Any] = []

    def work(number: int) -> None:
        together.wait()
        try:
            ended.append(runs[number].backfill()["units"][UNIT]["action"])
        except Fenced as error:
            ended.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(ended) == 2, "neither ended with another error"
    assert any(isinstance(end, str) for end in ended)
    assert stage.phase(UNIT) == "copied"
    assert runs[0].prove()[UNIT]["verdict"] == "equal"
    assert stage.settings(stage.index(UNIT))["index.refresh_interval"] == "30s"
