"""Retention through the scheduler: planned, approved, and not copied again."""

from __future__ import annotations

import pytest

from tests.system.migrations import RETAINED, prefix
from tests.system.rig import DagRun, System


@pytest.mark.ahead(migration=RETAINED, streams=["app_logs"])
def test_what_is_too_old_goes_when_a_person_approves(system: System, run: DagRun) -> None:
    run.succeed()
    indices = system.indices(prefix(RETAINED))
    documents = len(system.documents(prefix(RETAINED)))
    assert indices
    assert documents

    retention = system.trigger_for_all(RETAINED, "retention")
    question = retention.question()
    assert f"{documents} documents of {len(indices)} indices go" in question["body"]
    assert system.indices(prefix(RETAINED)) == indices
    retention.answer("Approve")
    retention.succeed()

    dropped = retention.xcom("cleanup")["dropped"]
    assert sorted(dropped) == indices
    assert sum(dropped.values()) == documents
    assert system.indices(prefix(RETAINED)) == []
    again = system.trigger(RETAINED, run.tenant, streams=["app_logs"])
    again.succeed()
    assert system.indices(prefix(RETAINED)) == []
    assert "retention has deleted of them" in again.log("dry_run")
