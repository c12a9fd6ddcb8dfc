"""An engine that says "not now" or "not at all"."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import TargetBlocked, TargetUnavailable
from tests.faults.integration.gateway import TOO_MANY, before
from tests.integration.operators.errors import told
from tests.integration.operators.stage import TARGET, Stage

UNIT = "events/acme/2025-01"
LIMITS = {"chunk": "64KiB", "in_flight": 2, "checkpoint_every": "100ms", "page_rows": 300}


@pytest.mark.usefixtures("short_waits")
def test_429_of_whole_bulks_and_of_single_documents(each_stage: Stage) -> None:
    stage = each_stage
    stage.configure(limits=LIMITS)
    stage.fill(3_000)
    run = stage.run()
    with before(stage.engine.url) as gateway:

        def answer(number: int, path: str, body: bytes) -> Any:
            if number in (2, 3, 5):
                return 429, TOO_MANY
            return gateway.take_half(path, body) if number in (4, 7) else None

        gateway.answer = answer
        stage.connect(TARGET, **stage.search_fields(gateway.url))
        counted = run.copy()[UNIT]
    stage.connect(TARGET, **stage.search_fields())
    assert (counted["documents"], counted["rejected"]) == (3_000, 0)
    assert gateway.documents > 3_000, "what was refused was sent again"
    assert run.prove()[UNIT]["verdict"] == "equal"
    with stage.ledger() as ledger:
        assert ledger.dead_letters.list(stage.migration, state=None) == []


@pytest.mark.usefixtures("short_waits")
def test_429_without_end_is_an_outage_and_bounded(stage: Stage) -> None:
    stage.configure(limits=LIMITS)
    stage.fill(3_000)
    run = stage.run()
    with before(stage.engine.url) as gateway:
        gateway.answer = lambda number, path, body: (429, TOO_MANY) if number > 4 else None
        stage.connect(TARGET, **stage.search_fields(gateway.url))
        run.plan()
        with told(TargetUnavailable, "HTTP 429", "rejected execution", retried=True):
            run.backfill()
        assert gateway.bulks <= 4 + 2 * 7, "six retries of each bulk in flight"
        gateway.answer = lambda number, path, body: None
        counted = run.backfill()["units"][UNIT]
    stage.connect(TARGET, **stage.search_fields())
    assert counted["action"] == "resumed"
    assert run.prove()[UNIT]["verdict"] == "equal"


def test_a_disk_flood_block_in_the_middle(each_stage: Stage) -> None:
    """The block that an engine sets itself at its flood stage."""
    stage = each_stage
    stage.configure(limits=LIMITS | {"in_flight": 1})
    stage.fill(6_000)
    run = stage.run()
    run.plan()
    index = stage.index(UNIT)

    def block(value: Any) -> None:
        stage.client.request(
            "PUT",
            f"/{index}/_settings",
            body={"index.blocks.read_only_allow_delete": value},
        )

    def flood(key: str, value: Any) -> None:
        if key == "checkpoint" and value["record"]["phase"] == "copying":
            run.store("backfill 0").on_set = lambda key, value: None
            block(True)

    run.store("backfill 0").on_set = flood
    with told(TargetBlocked, index, "free disk space", "disk", retried=False):
        run.backfill()
    with stage.ledger() as ledger:
        state = ledger.units.state(stage.migration, UNIT)
        assert ledger.dead_letters.list(stage.migration, state=None) == [], "no document's fault"
    assert state is not None
    assert state.phase.value == "copying"
    assert 0 < state.counters.documents < 6_000
    with told(TargetBlocked, index, retried=False):
        run.backfill()
    block(None)
    counted = run.backfill()["units"][UNIT]
    assert (counted["action"], counted["documents"]) == ("resumed", 6_000)
    assert run.prove()[UNIT]["verdict"] == "equal"
    assert stage.settings(index)["index.refresh_interval"] == "30s"
