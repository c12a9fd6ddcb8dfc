"""A live month is copied by its own schedule and kept in step, by a run that is killed as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
import pytest

from airflow_provider_logmigrate.core.certificate import Verdict
from airflow_provider_logmigrate.ledger.runs import RunOutcome
from tests.system.migrations import FOLLOWED, LIVE_TENANT, add_events, prefix
from tests.system.rig import DagRun, System

FOLLOW = "tenants.follow[0]"
NAMES = f"{prefix(FOLLOWED)}-events-"


def change(system: System, statement: str) -> None:
    with psycopg.connect(system.live) as connection:
        connection.execute(statement)


def rows(system: System) -> dict[str, str]:
    """The note of each by its key."""
    with psycopg.connect(system.live) as connection:
        return dict(connection.execute("SELECT id, note FROM events").fetchall())


def documents(system: System) -> dict[str, str]:
    """The same of what readers see."""
    alias = f"{NAMES}{LIVE_TENANT}"
    system.ask("POST", f"{alias}/_refresh")
    hits = system.ask("POST", f"{alias}/_search", {"size": 10_000})["hits"]["hits"]
    return {hit["_id"]: hit["_source"]["note"] for hit in hits}


def differing(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Keys that stand on one side only, or with another note."""
    return sorted(dict(found.items() ^ wanted.items()))


def assert_proven(system: System, run: DagRun) -> None:
    assert run.recorded_of(LIVE_TENANT).outcome is RunOutcome.COMPLETED
    certificates = system.certificates(FOLLOWED).values()
    assert {certificate.verdict for certificate in certificates} == {Verdict.EQUAL}
    assert sum(certificate.rows for certificate in certificates) == len(rows(system))


@dataclass(frozen=True, slots=True)
class Untold:
    """A run that wasn't told to remove extras, and both sides after it."""

    run: DagRun
    rows: Mapping[str, str]
    documents: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Killed:
    """A run whose task was killed when one bulk of its repair was taken.

    :param sent: documents that all runs before have sent.
    :param changed: documents that were to be written; ``taken``: by the engine before the kill.
    :param later: the next run; Airflow starts it when this one has ended.
    """

    run: DagRun
    sent: int
    changed: int
    taken: int
    later: DagRun


@pytest.fixture(scope="session")
def scheduled(system: System, started: Mapping[str, list[DagRun]]) -> DagRun:
    run = next(run for runs in started.values() for run in runs if run.migration == FOLLOWED)
    run.succeed()
    assert run.run_id.startswith("scheduled__")
    assert differing(documents(system), rows(system)) == []
    assert_proven(system, run)
    return run


@pytest.fixture(scope="session")
def untold(system: System, scheduled: DagRun) -> Untold:
    add_events(system.live, 401, 420)
    change(system, "UPDATE events SET note = 'changed' WHERE id IN ('e1', 'e200', 'e400')")
    change(system, "DELETE FROM events WHERE id IN ('e2', 'e300')")
    run = system.trigger_for_all(FOLLOWED, "follow")
    run.finish()
    return Untold(run, rows(system), documents(system))


@pytest.fixture(scope="session")
def killed(system: System, untold: Untold) -> Killed:
    sent = len(system.gateway.sent(NAMES))
    add_events(system.live, 421, 600)
    change(system, "UPDATE events SET note = 'once more' WHERE id = 'e1'")
    change(system, "DELETE FROM events WHERE id = 'e3'")
    with system.gateway.hold(NAMES, after=sent + 1) as hold:
        run = system.trigger_for_all(FOLLOWED, "follow", remove_extras=True)
        hold.wait()
        (unit,) = system.ledger.units.states(FOLLOWED)
        process = run.task_process(unit)
        process.kill()
        process.wait()
        taken = len(system.gateway.sent(NAMES)) - sent
    return Killed(run, sent, 181, taken, system.trigger_for_all(FOLLOWED, "follow"))


@pytest.mark.ahead(migration=FOLLOWED)
def test_what_is_new_or_has_changed_is_copied_and_extras_are_named(
    untold: Untold,
    killed: Killed,  # its retry takes half a minute
) -> None:
    assert untold.run.finish() == "failed"
    assert differing(untold.documents, untold.rows) == ["e2", "e300"]
    assert untold.run.tasks()[FOLLOW]["try_number"] == 1, "a retry would fail the same way"
    log = untold.run.log("tenants.follow", map_index=0)
    assert "23 documents copied again and 0 removed" in log, log
    assert "extra e2" in log, log


@pytest.mark.late
@pytest.mark.ahead(migration=FOLLOWED)
def test_a_run_that_was_killed_is_retried_and_the_next_one_copies_nothing(
    system: System, killed: Killed
) -> None:
    run, later = killed.run, killed.later
    run.succeed()
    assert run.tasks()[FOLLOW]["try_number"] == 2
    log = run.log("tenants.follow", 2, 0)
    assert "and 3 removed" in log, log

    later.succeed()
    assert differing(documents(system), rows(system)) == []
    assert_proven(system, later)
    assert later.xcom("tenants.follow", map_index=0) == {"tenants": 1}
    assert "copied again" not in later.log("tenants.follow", map_index=0)
    # What the engine had taken before the kill isn't sent by anybody again.
    assert 0 < killed.taken < killed.changed
    assert len(system.gateway.sent(NAMES)) == killed.sent + killed.changed
