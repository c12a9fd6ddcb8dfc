"""Attempts that are killed, frozen or stopped in the middle of a copy, and what their retries do.

All are disturbed at the beginning, so that Airflow's own waits (20 s until a silent task is missed,
30 s before a retry) go by together, and beside other tests. Each copies the same rows as an
undisturbed migration, under names of its own: the results are compared document by document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import pytest

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.checkpoint import Phase
from airflow_provider_logmigrate.ledger.runs import RunOutcome
from tests.system.gateway import Hold
from tests.system.migrations import (
    FAILED_BY_HAND,
    FROZEN,
    SERVING_REFRESH,
    SUPERVISOR_KILLED,
    TASK_KILLED,
    TERMINATED,
    UNDISTURBED,
    prefix,
)
from tests.system.rig import DagRun, System, assert_same, eventually, gone

How = Callable[[DagRun, psutil.Process, psutil.Process], None]
"""Disturbs a run, given the process of its task and that process's supervisor."""

STREAM = "workflow_node_executions"
HELD_AT = 8_000
"""Documents of the largest unit that are in the engine when the disturbance comes."""
STOPPED = "Server indicated the task shouldn't be running"
"""What Airflow's supervisor logs when it stops a task that was ended by hand."""
HELD_AGAIN_AT = 14_000
"""Where the retry of the frozen attempt waits for that attempt to wake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """A copy that was disturbed.

    :param sent: documents of the unit that the engine had taken by then.
    :param kept: documents that the ledger's checkpoint knew of by then.
    :param attempt: fencing token of the disturbed attempt.
    :param task: its process; ``supervisor`` is that process's parent.
    """

    run: DagRun
    sent: int
    kept: int
    attempt: int
    task: psutil.Process
    supervisor: psutil.Process

    @property
    def names(self) -> str:
        """What the unit's index names begin with."""
        return unit_prefix(self.run.migration)

    def sent_again(self) -> int:
        """Documents of the unit that were sent more than once."""
        sent = Counter(self.run.system.gateway.sent(self.names))
        return sum(times - 1 for times in sent.values())


def unit_prefix(migration: str) -> str:
    return f"{prefix(migration)}-{STREAM.replace('_', '-')}-"


def disturb(system: System, run: DagRun, hold: Hold, how: How) -> Disturbance:
    """Wait until a bulk's answer is held back, disturb, let the answer go."""
    hold.wait()
    task = run.task_process()
    supervisor = task.parent()
    assert supervisor is not None
    assert supervisor in system.airflow.components["scheduler"].members()
    how(run, task, supervisor)
    unit = run.unit(STREAM)
    assert unit is not None
    assert unit.phase is Phase.COPYING
    done = Disturbance(
        run=run,
        sent=len(system.gateway.sent(unit_prefix(run.migration))),
        kept=unit.counters.documents,
        attempt=unit.attempt,
        task=task,
        supervisor=supervisor,
    )
    hold.release()
    return done


def freeze(run: DagRun, task: psutil.Process, supervisor: psutil.Process) -> None:
    supervisor.suspend()
    task.suspend()


def fail_by_hand(run: DagRun, task: psutil.Process, supervisor: psutil.Process) -> None:
    """Mark the run as failed; with its next heartbeat the supervisor stops the task."""
    run.fail_by_hand()
    eventually(lambda: STOPPED in run.log("backfill", 1, 0), seconds=60, what="the task's stop")


# Those whose retries come last are first.
HOW: dict[str, How] = {
    SUPERVISOR_KILLED: lambda run, task, supervisor: supervisor.kill(),
    FROZEN: freeze,
    TASK_KILLED: lambda run, task, supervisor: task.kill(),
    TERMINATED: lambda run, task, supervisor: task.terminate(),
    FAILED_BY_HAND: fail_by_hand,
}


@pytest.fixture(scope="session")
def disturbed(system: System) -> Iterator[dict[str, Disturbance]]:
    (tenant,) = system.big.tenants
    with ExitStack() as stack:
        held = []
        for migration, how in HOW.items():
            names = unit_prefix(migration)
            hold = stack.enter_context(system.gateway.hold(names, after=HELD_AT))
            held.append((system.trigger(migration, tenant), hold, how))
        found = {}
        for run, hold, how in held:
            found[run.migration] = disturb(system, run, hold, how)
        yield found
        for disturbance in found.values():
            for process in (disturbance.task, disturbance.supervisor):
                if process.is_running() and process.status() == psutil.STATUS_STOPPED:
                    process.kill()


@pytest.fixture(scope="session")
def woken(system: System, disturbed: dict[str, Disturbance]) -> Iterator[Hold]:
    """The frozen attempt's retry, held back in the middle of its copy."""
    frozen = disturbed[FROZEN]
    with system.gateway.hold(frozen.names, after=HELD_AGAIN_AT) as hold:
        yield hold


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an undisturbed migration of the same rows makes."""

    documents: Mapping[tuple[str, str], str]
    certificates: Mapping[str, Certificate]


@pytest.fixture(scope="session")
def wanted(system: System, disturbed: object, woken: object) -> Wanted:
    system.trigger(UNDISTURBED, system.big.tenants[0]).succeed()
    return Wanted(system.documents(prefix(UNDISTURBED)), system.certificates(UNDISTURBED))


def test_the_undisturbed_migration_is_whole(system: System, wanted: Wanted) -> None:
    units = system.big.counts.units
    assert len(wanted.documents) == sum(
        count.rows if table.endswith("_offload") else count.settled
        for (table, _, _), count in units.items()
    )
    assert len(wanted.certificates) == len(units)
    assert {c.verdict for c in wanted.certificates.values()} == {Verdict.EQUAL}


def assert_equal(system: System, wanted: Wanted, run: DagRun) -> None:
    """The same documents, and certificates that say the same."""
    assert_same(system.documents(prefix(run.migration)), wanted.documents)
    found = system.certificates(run.migration)
    assert found.keys() == wanted.certificates.keys()
    for key, certificate in wanted.certificates.items():
        for fact in ("verdict", "rows", "documents", "held_back", "rejected", "high", "low"):
            assert getattr(found[key], fact) == getattr(certificate, fact), (key, fact)


def assert_resumed(disturbance: Disturbance) -> None:
    """The unit's copy went on from a checkpoint, not from zero."""
    unit = disturbance.run.unit(STREAM)
    assert unit is not None
    assert unit.phase is Phase.COPIED
    assert unit.attempt > disturbance.attempt
    assert disturbance.run.copied()[unit.unit]["action"] == "resumed"


def writing(disturbance: Disturbance) -> bool:
    """Whether the task still has a connection to the engine."""
    gateway = urlsplit(disturbance.run.system.gateway.url).port
    return any(
        connection.status == psutil.CONN_ESTABLISHED and connection.raddr.port == gateway
        for connection in disturbance.task.net_connections("tcp")
    )


def assert_serving(system: System, migration: str) -> None:
    for index in system.indices(prefix(migration)):
        assert system.settings(index)["refresh_interval"] == SERVING_REFRESH, index


@pytest.mark.late
def test_a_frozen_attempt_that_wakes_beside_its_retry_is_fenced(
    system: System, disturbed: dict[str, Disturbance], woken: Hold, wanted: Wanted
) -> None:
    disturbance = disturbed[FROZEN]
    run = disturbance.run
    woken.wait()  # The retry copies.
    newer = run.unit(STREAM)
    assert newer is not None
    assert newer.attempt > disturbance.attempt

    # The task first: Airflow's own supervisor would stop it with its next heartbeat.
    disturbance.task.resume()
    eventually(
        lambda: not writing(disturbance), seconds=60, what="the end of the old attempt's writing"
    )
    disturbance.supervisor.resume()
    eventually(lambda: gone(disturbance.task), seconds=60, what="the end of the old attempt")
    still = run.unit(STREAM)
    assert still is not None
    assert (still.attempt, still.holder) == (newer.attempt, newer.holder)
    assert still.counters.documents >= newer.counters.documents  # its own were fewer
    woken.release()

    run.succeed()
    old = run.log("backfill", 1, 0)
    assert f"attempt {disturbance.attempt} was taken over by attempt {newer.attempt}" in old, old
    assert run.tasks()["backfill[0]"]["try_number"] > 1
    assert_resumed(disturbance)
    unit = run.unit(STREAM)
    assert unit is not None
    assert unit.counters.documents == system.big.counts.units[STREAM, run.tenant, "2025-03"].settled
    assert run.recorded.outcome is RunOutcome.COMPLETED
    assert_serving(system, FROZEN)
    assert_equal(system, wanted, run)


@pytest.mark.late
def test_the_orphan_of_a_killed_supervisor_stops_and_its_retry_completes(
    system: System, disturbed: dict[str, Disturbance], wanted: Wanted
) -> None:
    disturbance = disturbed[SUPERVISOR_KILLED]
    run = disturbance.run

    # It may write on until its next checkpoint; then it sees that it is alone.
    eventually(lambda: gone(disturbance.task), seconds=60, what="the end of the orphan")
    run.succeed()
    assert run.tasks()["backfill[0]"]["try_number"] > 1
    assert_resumed(disturbance)
    # Nobody keeps the orphan's own log; its retry says what it left.
    assert f"rows done by attempt {disturbance.attempt}" in run.log("backfill", 2, 0)
    assert disturbance.sent_again() == 0
    assert_serving(system, SUPERVISOR_KILLED)
    assert_equal(system, wanted, run)


def test_sigterm_stops_at_a_durable_checkpoint_and_a_retry_completes(
    system: System, disturbed: dict[str, Disturbance], wanted: Wanted
) -> None:
    disturbance = disturbed[TERMINATED]
    run = disturbance.run

    eventually(lambda: gone(disturbance.task), seconds=60, what="the end of the task's process")
    log = run.log("backfill", 1, 0)
    assert "stopped: Airflow asked the task to stop" in log, log
    run.succeed()
    assert_resumed(disturbance)
    # What was acknowledged before the stop stands in the checkpoint: nothing is sent again.
    assert disturbance.sent_again() == 0
    assert_serving(system, TERMINATED)
    assert_equal(system, wanted, run)


def test_a_run_failed_by_hand_leaves_a_serving_index_and_a_checkpoint_for_the_next(
    system: System, disturbed: dict[str, Disturbance], wanted: Wanted
) -> None:
    disturbance = disturbed[FAILED_BY_HAND]

    assert disturbance.run.finish() == "failed"
    eventually(lambda: gone(disturbance.task), seconds=60, what="the end of the task's process")
    assert_serving(system, FAILED_BY_HAND)
    unit = disturbance.run.unit(STREAM)
    assert unit is not None
    assert unit.phase is Phase.COPYING
    assert unit.counters.documents >= disturbance.kept

    later = system.trigger(FAILED_BY_HAND, disturbance.run.tenant)
    later.succeed()
    assert later.copied()[unit.unit]["action"] == "resumed"
    assert disturbance.sent_again() <= disturbance.sent - disturbance.kept
    assert_equal(system, wanted, later)


@pytest.mark.late
def test_a_killed_task_is_retried_from_its_checkpoint(
    system: System, disturbed: dict[str, Disturbance], wanted: Wanted
) -> None:
    disturbance = disturbed[TASK_KILLED]
    run = disturbance.run

    run.succeed()
    assert run.tasks()["backfill[0]"]["try_number"] == 2
    assert_resumed(disturbance)
    # Only what was copied after the last checkpoint, the unanswered bulk at least, was sent twice.
    assert 0 < disturbance.sent_again() == disturbance.sent - disturbance.kept
    assert disturbance.sent_again() < disturbance.sent / 2
    total = system.big.counts.units[STREAM, run.tenant, "2025-03"].settled
    unit = run.unit(STREAM)
    assert unit is not None
    assert unit.counters.documents == total
    assert len(system.gateway.sent(disturbance.names)) == total + disturbance.sent_again()
    assert_equal(system, wanted, run)
