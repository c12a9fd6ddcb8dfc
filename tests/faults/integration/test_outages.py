"""Source, engine or ledger away: at the start, in the middle, during the proof."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from airflow_provider_logmigrate.core.errors import (
    LedgerUnavailable,
    LogMigrateError,
    SourceUnavailable,
    TargetUnavailable,
)
from tests.integration.operators.errors import told
from tests.integration.operators.proxy import Proxy
from tests.integration.operators.stage import SOURCE, Run, Stage

UNIT = "events/acme/2025-01"
ROWS = 6_000
LIMITS = {"chunk": "64KiB", "in_flight": 1, "checkpoint_every": "100ms", "page_rows": 300}
SOME_PAGES, SOME_BULKS = 8, 8

pytestmark = pytest.mark.usefixtures("short_waits")


@pytest.fixture
def run(stage: Stage) -> Run:
    stage.configure(limits=LIMITS)
    stage.fill(ROWS)
    return stage.run()


def cut_after(proxy: Proxy, sign: bytes, count: int) -> None:
    """Take the server away when a client sends ``sign`` for the ``count``-th time."""
    seen = 0

    def look(data: bytes) -> None:
        nonlocal seen
        seen += data.count(sign)
        if seen >= count:
            proxy.on_sent = lambda data: None
            proxy.cut()

    proxy.on_sent = look


def is_equal_in_the_end(run: Run, proxy: Proxy, *, action: str = "resumed") -> None:
    """The server is back; the next attempt finishes and nothing is missing."""
    proxy.mend()
    counted = run.backfill()["units"][UNIT]
    assert (counted["action"], counted["documents"], counted["read"]) == (action, ROWS, ROWS)
    assert run.prove()[UNIT]["verdict"] == "equal"
    assert run.swap()["swapped"] == [UNIT]
    assert run.report()["outcome"] == "completed"
    settings = run.stage.settings(run.stage.index(UNIT))
    assert settings["index.refresh_interval"] == "30s"


@pytest.mark.parametrize(
    ("which", "kind", "where"),
    [
        ("source_proxy", SourceUnavailable, SOURCE),
        ("engine_proxy", TargetUnavailable, "http://127.0.0.1:"),
        ("ledger_proxy", LedgerUnavailable, "ledger 127.0.0.1:"),
    ],
)
def test_down_at_the_start(
    stage: Stage,
    which: str,
    kind: type[LogMigrateError],
    where: str,
    request: pytest.FixtureRequest,
) -> None:
    stage.fill(10)
    proxy: Proxy = request.getfixturevalue(which)
    proxy.cut()
    run = stage.run()
    with told(kind, where, "retries", retried=True):
        run.plan()
    proxy.mend()
    run.plan()
    proxy.cut()
    with told(kind, where, "retries", retried=True):
        run.backfill()
    assert stage.aliases() == {}
    proxy.mend()
    assert run.backfill()["units"][UNIT]["documents"] == 10


def test_the_source_goes_in_the_middle(stage: Stage, run: Run, source_proxy: Proxy) -> None:
    run.plan()
    cut_after(source_proxy, b"COPY", SOME_PAGES)
    with told(SourceUnavailable, SOURCE, retried=True):
        run.backfill()
    assert stage.phase(UNIT) == "copying"
    settings = stage.settings(stage.index(UNIT))
    assert settings["index.refresh_interval"] == "30s", "the engine is whole: settings are back"
    is_equal_in_the_end(run, source_proxy)


def test_the_engine_goes_in_the_middle(stage: Stage, run: Run, engine_proxy: Proxy) -> None:
    run.plan()
    cut_after(engine_proxy, b"/_bulk", SOME_BULKS)
    with told(TargetUnavailable, "http://127.0.0.1:", retried=True):
        run.backfill()
    with stage.ledger() as ledger:
        state = ledger.units.state(stage.migration, UNIT)
    assert state is not None
    assert state.phase.value == "copying"
    assert state.counters.documents <= stage.count(stage.index(UNIT)), "nothing is claimed twice"
    is_equal_in_the_end(run, engine_proxy)


def test_the_ledger_goes_in_the_middle(stage: Stage, run: Run, ledger_proxy: Proxy) -> None:
    run.plan()

    def cut(key: str, value: Any) -> None:
        if key == "checkpoint":
            ledger_proxy.cut()

    run.store("backfill 0").on_set = cut
    with told(LedgerUnavailable, "ledger 127.0.0.1:", retried=True):
        run.backfill()
    run.store("backfill 0").on_set = lambda key, value: None
    settings = stage.settings(stage.index(UNIT))
    assert settings["index.refresh_interval"] == "30s"
    with stage.ledger() as ledger:
        state = ledger.units.state(stage.migration, UNIT)
    assert state is not None
    assert state.checkpoint is not None
    assert state.checkpoint.to_json() == run.store("backfill 0")["checkpoint"]["record"]
    is_equal_in_the_end(run, ledger_proxy)


@pytest.mark.parametrize("which", ["source_proxy", "engine_proxy"])
def test_a_short_outage_in_the_middle_goes_unnoticed(
    stage: Stage, run: Run, which: str, request: pytest.FixtureRequest
) -> None:
    proxy: Proxy = request.getfixturevalue(which)
    run.plan()
    sign = b"COPY" if which == "source_proxy" else b"/_bulk"
    cut_after(proxy, sign, SOME_PAGES)
    away = threading.Event()
    cut = proxy.cut

    def cut_and_mend_soon() -> None:
        cut()
        away.set()
        threading.Timer(0.15, proxy.mend).start()

    proxy.cut = cut_and_mend_soon  # type: ignore[method-assign]
    counted = run.backfill()["units"][UNIT]
    assert away.is_set()
    proxy.cut = cut  # type: ignore[method-assign]
    assert (counted["action"], counted["documents"]) == ("copied", ROWS)
    assert run.prove()[UNIT]["verdict"] == "equal"


@pytest.mark.parametrize(
    ("which", "kind"),
    [
        ("source_proxy", SourceUnavailable),
        ("engine_proxy", TargetUnavailable),
        ("ledger_proxy", LedgerUnavailable),
    ],
)
def test_an_outage_is_never_an_empty_result(
    stage: Stage, which: str, kind: type[LogMigrateError], request: pytest.FixtureRequest
) -> None:
    """Not in the proof, not in the cut-over, not when a copied unit is looked at again."""
    stage.fill(10)
    proxy: Proxy = request.getfixturevalue(which)
    run = stage.run()
    run.copy()
    proxy.cut()
    with told(kind, retried=True):
        run.prove()
    with stage.ledger() as ledger:
        assert ledger.certificates.latest_by_unit(stage.migration) == {}
    proxy.mend()
    run.prove()
    proxy.cut()
    with told(kind, retried=True):
        run.swap()
    with told(kind, retried=True):
        run.backfill()
    assert stage.aliases() == {}
    with stage.ledger() as ledger:
        assert ledger.cutovers.list(stage.migration) == []
    assert stage.phase(UNIT) == "copied"
    proxy.mend()
    assert run.swap()["swapped"] == [UNIT]


def test_the_answer_to_a_cut_over_is_lost(stage: Stage, engine_proxy: Proxy) -> None:
    """The task fails, the ledger says so, and the retry finds and finishes the same cut-over."""
    stage.fill(10)
    run = stage.run()
    run.copy()
    run.prove()
    cut_after(engine_proxy, b"POST /_aliases", 1)
    with told(TargetUnavailable, retried=True):
        run.swap()
    with stage.ledger() as ledger:
        (stored,) = ledger.cutovers.list(stage.migration)
    assert stored.state.value == "failed"
    assert stored.failure is not None
    engine_proxy.mend()
    assert run.swap()["cutover"] == stored.id
    with stage.ledger() as ledger:
        assert ledger.cutovers.get(stored.id).state.value == "applied"
