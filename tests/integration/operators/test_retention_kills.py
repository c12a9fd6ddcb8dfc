"""SIGKILL between each pair of a retention's steps: the next run goes on, every count is true."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Fenced, TargetRefused, TargetUnavailable
from airflow_provider_logmigrate.core.retention_plan import RetentionItem
from airflow_provider_logmigrate.core.retention_run import ItemState
from airflow_provider_logmigrate.ledger.retentions import ItemLog
from airflow_provider_logmigrate.stores.search.retention import SearchRetention
from tests.integration.operators.stage import Stage
from tests.integration.operators.stage import execute as run_sql
from tests.integration.operators.test_retention import cleanup, configure, plan, plan_without_items

if TYPE_CHECKING:
    from devstack.elasticsearch import ElasticsearchServer
    from tests.integration.operators.fixtures import StageMaker

KILLS = (
    ("drop", "intended"),
    ("drop", "deleted"),
    ("delete_by_query", "running"),
    ("delete_by_query", "deleted"),
)
"""One item for each; after each kill the next victim settles it and dies at its own."""


def test_a_killed_retention_is_finished_by_the_next_one(stage: Stage) -> None:
    rules = [{"after": "30d", "where": {"state": ["done"]}}]
    configure(stage, {"after": None, "rules": rules}, period="day", to="2025-01-04")
    for day, (action, _) in enumerate(KILLS, start=1):
        for hour in range(5):
            stage.add(f"e{day}{hour}", f"2025-01-{day:02}T{hour:02}:00:00+00:00")
        if action == "delete_by_query":
            stage.execute("UPDATE events SET state = 'firing' WHERE id = %s", (f"e{day}0",))
    stage.run().whole()
    planned = plan(stage)
    assert (planned["indices"], planned["documents"]) == (4, 2 * 5 + 2 * 4)
    indices = [stage.index(f"events/acme/2025-01-{day:02}") for day in range(1, 5)]
    command = [sys.executable, "-m", "tests.integration.operators.retention_victim"]

    for number, (action, point) in enumerate(KILLS):
        victim = subprocess.run(
            [*command, planned["plan"], indices[number], point],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert victim.returncode == -signal.SIGKILL, victim.stderr
        with stage.ledger() as ledger:
            found = {kept.index: kept for kept in ledger.retentions.list(stage.migration)}
        assert set(found) == set(indices[: number + 1])
        for before in indices[:number]:
            kept = found[before]
            assert (kept.state, kept.deleted) == (ItemState.DELETED, kept.documents), before
        assert found[indices[number]].state is ItemState.INTENDED
        if point == "intended":
            assert stage.count(indices[number]) == 5
        elif action == "drop":
            assert stage.client.request("GET", f"/{indices[number]}", expected=(404,)).status == 404
        for later in indices[number + 1 :]:
            assert stage.count(later) == 5

    done = cleanup(stage, planned["plan"])

    assert done == {"dropped": {}, "deleted": {indices[3]: 4}, "refused": {}}
    assert [stage.count(index) for index in indices[2:]] == [1, 1]
    assert sorted(stage.documents(f"{stage.prefix}-events-acme")) == ["e30", "e40"]
    with stage.ledger() as ledger:
        kept_all = ledger.retentions.list(stage.migration)
    assert sum(kept.deleted or 0 for kept in kept_all) == planned["documents"]
    assert {kept.state for kept in kept_all} == {ItemState.DELETED}


def _fail(self: SearchRetention, item: RetentionItem, *, stop: Stop) -> None:
    raise TargetUnavailable("gone", where=item.index)


def test_what_is_forbidden_halfway_stays_and_the_half_is_counted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"after": "30d", "where": {"state": ["done"]}}]
    configure(stage, {"after": None, "rules": rules})
    stage.fill(10)
    stage.execute("UPDATE events SET state = 'firing' WHERE id = 'e00000'")
    stage.run().whole()
    planned, index = plan(stage)["plan"], stage.index("events/acme/2025-01")
    with monkeypatch.context() as broken:
        broken.setattr(SearchRetention, "delete", _fail)
        with pytest.raises(TargetUnavailable):
            cleanup(stage, planned)
    for key in ("e00001", "e00002"):  # as far as its query had come
        stage.client.request("DELETE", f"/{index}/_doc/{key}?refresh=true")
    configure(stage, {"after": None, "rules": rules, "hold": [{"tenant": "acme"}]})

    # Whatever plan is carried out next, what was begun comes first.
    done = cleanup(stage, plan_without_items(stage)["plan"])

    assert done["deleted"] == {index: 2}
    assert "it is under legal hold" in done["refused"][index]
    assert stage.count(index) == 8
    with stage.ledger() as ledger:
        (kept,) = ledger.retentions.list(stage.migration)
    assert (kept.state, kept.documents, kept.deleted) == (ItemState.STOPPED, 9, 2)


def test_an_attempt_that_was_taken_over_drops_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(stage)
    stage.fill(5)
    stage.run().whole()
    planned, index = plan(stage)["plan"], stage.index("events/acme/2025-01")
    intend = ItemLog.intend

    def overtaken(self: ItemLog) -> None:
        intend(self)
        with stage.ledger() as ledger:
            newer = ledger.units.begin_attempt()
            run_sql(stage.ledger_dsn, f"UPDATE logmigrate.unit SET attempt = {newer}")

    with monkeypatch.context() as patched:
        patched.setattr(ItemLog, "intend", overtaken)
        with pytest.raises(Fenced):
            cleanup(stage, planned)

    assert stage.count(index) == 5
    assert cleanup(stage, planned)["dropped"] == {index: 5}, "the newest attempt may"


def test_what_the_engine_refuses_stays_and_holds_up_nothing_else(
    elasticsearch_server: ElasticsearchServer, stage_on: StageMaker
) -> None:
    """This Elasticsearch has no deletions by query."""
    stage = stage_on(elasticsearch_server)
    rules = [{"after": "30d", "where": {"state": ["done"]}}]
    configure(stage, {"after": None, "rules": rules})
    stage.fill(5)
    stage.execute("UPDATE events SET state = 'firing' WHERE id = 'e00000'")
    stage.run().whole()
    index = stage.index("events/acme/2025-01")
    with pytest.raises(TargetRefused, match="no handler found"):
        cleanup(stage, plan(stage)["plan"])

    assert stage.count(index) == 5
    with stage.ledger() as ledger:
        (kept,) = ledger.retentions.list(stage.migration)
        assert (kept.state, kept.deleted) == (ItemState.STOPPED, 0)
        assert ledger.retentions.units(stage.migration) == frozenset()
    configure(stage)
    assert cleanup(stage, plan(stage)["plan"])["dropped"] == {index: 5}
