"""An engine that says "not now" or "not at all"."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.errors import TargetBlocked, TargetUnavailable
from tests.faults.integration.gateway import TOO_MANY, before
from tests.integration.operators.errors import told
from tests.integration.operators.fixtures import StageMaker
from tests.integration.operators.stage import TARGET, Stage, execute

if TYPE_CHECKING:
    from devstack.engine import SearchEngine

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
                return TOO_MANY
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
        gateway.answer = lambda number, path, body: TOO_MANY if number > 4 else None
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


@pytest.fixture(scope="module")
def cramped(server_root: Path) -> Iterator[SearchEngine]:
    """An engine that takes no more than 300 KB of documents at a time."""
    from devstack.opensearch import OpenSearchServer

    settings = {"indexing_pressure.memory.limit": "300kb"}
    with OpenSearchServer(server_root / "cramped", settings=settings) as server:
        yield server


def test_an_engine_with_little_room_gets_fewer_and_smaller_bulks(
    cramped: SearchEngine,
    stage_on: StageMaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No gateway plays here: the engine itself answers 429 to whatever is too much for it."""
    # Short waits, and enough of them for an engine of any speed.
    monkeypatch.setattr(Backoff, "delays", lambda self, rng: iter([0.1] * 600))
    stage = stage_on(cramped)
    stage.configure(limits={"chunk": "1MiB", "in_flight": 3, "page_rows": 2_000})
    stage.fill(12_000, note="x" * 1_000)
    run = stage.run()
    shown: list[str] = []

    def keep(key: str, value: Any) -> None:
        if key == "progress":
            shown.append(value["note"])

    run.plan()
    run.store("backfill 0").on_set = keep
    counted = run.backfill()["units"][UNIT]
    assert (counted["documents"], counted["rejected"]) == (12_000, 0)
    assert run.prove()[UNIT]["verdict"] == "equal"
    with stage.ledger() as ledger:
        assert ledger.dead_letters.list(stage.migration, state=None) == []
    window = re.search(
        r"(\d) of 3 bulks in flight, ([\d.]+) of 1 MiB each: retried .*HTTP 429", shown[-1]
    )
    assert window is not None, shown
    assert int(window[1]) == 1
    assert float(window[2]) < 1.0


def test_a_busy_source_makes_the_copy_pause_and_say_why(stage: Stage) -> None:
    """Three long statements of somebody else: the reader waits until they are gone."""
    protect = {"active_backends": 1, "every": "100ms"}
    stage.configure(limits=LIMITS, protect=protect)
    stage.fill(3_000)
    run = stage.run()
    run.plan()
    notes: list[str] = []
    with sleepers(stage.source_dsn, 3) as wake:

        def watch(key: str, value: Any) -> None:
            if key == "progress":
                notes.append(value["note"])
                if "reading pauses" in value["note"]:
                    wake()

        run.store("backfill 0").on_set = watch
        counted = run.backfill()["units"][UNIT]
    assert any(
        re.search(r"reading pauses: \d+ other sessions are active \(limit 1\)", note)
        for note in notes
    ), notes
    assert (counted["documents"], counted["rejected"]) == (3_000, 0)
    assert run.prove()[UNIT]["verdict"] == "equal"


@contextmanager
def sleepers(dsn: str, count: int) -> Iterator[Callable[[], None]]:
    """Sessions that run a statement until the yielded function is called."""
    connections = [psycopg2.connect(dsn) for _ in range(count)]
    pids = [connection.info.backend_pid for connection in connections]

    def sleep(connection: psycopg2.extensions.connection) -> None:
        with closing(connection), connection.cursor() as cursor, suppress(psycopg2.Error):
            cursor.execute("SELECT pg_sleep(3600)")

    def wake() -> None:
        execute(dsn, "SELECT pg_terminate_backend(pid) FROM unnest(%s) AS t(pid)", (pids,))

    threads = [threading.Thread(target=sleep, args=[c], daemon=True) for c in connections]
    for thread in threads:
        thread.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s) AND query ~ 'pg_sleep'"
    end = time.monotonic() + 60
    while execute(dsn, asleep, (pids,)) != [(count,)]:
        assert time.monotonic() < end
        time.sleep(0.01)
    try:
        yield wake
    finally:
        wake()
        for thread in threads:
            thread.join(60)
