"""Four lanes on two workers; one worker dies, and so does a supervisor on the other one.

The dead worker's lanes go on there. The supervisor's task lives on as an orphan: its bulk is held
back until the lane's retry has written the same documents, and arrives then. Lanes are stopped at
places that the gateway chooses, so nothing here depends on anybody's speed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_logmigrate.core.certificate import Verdict
from airflow_provider_logmigrate.core.checkpoint import Phase
from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.ledger.runs import RunOutcome
from airflow_provider_logmigrate.ledger.units import UnitState
from tests.scaleout.fleet import Fleet, Lane, lanes
from tests.scaleout.migrations import DISTURBED, PERIODS, TENANT, UNDISTURBED, unit_prefix
from tests.system.gateway import Bulk, Hold
from tests.system.migrations import prefix
from tests.system.rig import DagRun, assert_same, eventually, gone

HELD_AT = 1_500
"""Documents of each unit that are in the engine when the lanes are disturbed."""
HELD_AGAIN = 1_500
"""Documents that the orphan's retry may write before it is held back in its turn."""
PATIENCE = 400
"""Seconds; a retry comes after a minute, on a quiet machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What was done, and how things stood then.

    :param lanes: all four, as they ran.
    :param worker: the one that was killed.
    :param orphan: the lane whose supervisor was killed, on the other worker.
    :param sent: documents of each unit that the engine had taken.
    :param beside: the ledger's word on the orphan's unit while its retry copied and it lived.
    :param behind: the same once the orphan had ended, its retry still held back.
    :param late: the orphan's bulk that arrived behind those of its retry.
    :param before, after: versions of the late bulk's documents in the engine, around its arrival.
    :param alone: the undisturbed run, started meanwhile.
    """

    run: DagRun
    lanes: list[Lane]
    worker: str
    orphan: Lane
    sent: dict[str, int]
    beside: UnitState
    behind: UnitState
    late: Bulk
    before: dict[str, int]
    after: dict[str, int]
    alone: DagRun

    def of(self, worker: str) -> list[Lane]:
        """The lanes that ran on a worker."""
        return [lane for lane in self.lanes if lane.worker == worker]

    @property
    def survivor(self) -> str:
        """The worker that lived on."""
        return self.orphan.worker


@pytest.fixture(scope="module")
def disturbed(fleet: Fleet) -> Iterator[Disturbance]:
    with ExitStack() as stack:
        holds = {
            period: stack.enter_context(
                fleet.gateway.hold(unit_prefix(period), after=HELD_AT, unsent=True)
            )
            for period in PERIODS
        }
        run = fleet.trigger(DISTURBED, TENANT)
        for hold in holds.values():
            reach(hold, run)
        sent = {period: len(fleet.gateway.sent(unit_prefix(period))) for period in PERIODS}
        # A checkpoint is due every 100 ms, whatever is held back.
        eventually(
            lambda: checkpoints(fleet) == sent,
            seconds=PATIENCE,
            what="a checkpoint behind all that was acknowledged",
        )
        found = lanes(fleet, run)
        dead = found[0].worker
        orphan = next(lane for lane in found if lane.worker != dead)

        fleet.workers.components[dead].kill()
        orphan.supervisor.kill()
        again = stack.enter_context(
            fleet.gateway.hold(unit_prefix(orphan.period), after=sent[orphan.period] + HELD_AGAIN)
        )
        for period, hold in holds.items():
            if period != orphan.period:
                hold.release()
        alone = fleet.trigger(UNDISTURBED, TENANT)

        reach(again, run)
        beside = state(fleet, orphan)
        assert not gone(orphan.process)
        late = held(holds[orphan.period])
        before = versions(fleet, late)
        holds[orphan.period].release()
        eventually(
            lambda: any(bulk is late for bulk in fleet.gateway.bulks(late.index)),
            seconds=PATIENCE,
            what="the late bulk",
        )
        after = versions(fleet, late)
        eventually(lambda: gone(orphan.process), seconds=PATIENCE, what="the end of the orphan")
        behind = state(fleet, orphan)
        again.release()
        yield Disturbance(
            run=run,
            lanes=found,
            worker=dead,
            orphan=orphan,
            sent=sent,
            beside=beside,
            behind=behind,
            late=late,
            before=before,
            after=after,
            alone=alone,
        )


def reach(hold: Hold, run: DagRun) -> None:
    """Wait until something is held back; a run that has failed never gets there."""

    def reached() -> bool:
        if hold.reached(seconds=2):
            return True
        tasks = run.states()
        assert "failed" not in tasks.values(), run.trouble()
        return False

    eventually(reached, seconds=PATIENCE, what=f"bulk {hold.after} of {hold.prefix}")


def state(fleet: Fleet, lane: Lane) -> UnitState:
    found = fleet.ledger.units.state(DISTURBED, lane.unit.unit)
    assert found is not None
    return found


def checkpoints(fleet: Fleet) -> dict[str, int]:
    """Documents that the ledger knows of, by period."""
    units = fleet.ledger.units.states(DISTURBED, tenant=TENANT)
    return {unit.period: unit.counters.documents for unit in units}


def held(hold: Hold) -> Bulk:
    assert hold.bulk is not None
    return hold.bulk


def versions(fleet: Fleet, bulk: Bulk) -> dict[str, int]:
    """The versions of a bulk's documents as they are in the engine now."""
    docs: list[dict[str, Any]] = fleet.ask(
        "POST", f"{bulk.index}/_mget?_source=false", {"ids": list(bulk.keys)}
    )["docs"]
    return {doc["_id"]: doc["_version"] for doc in docs if doc["found"]}


def test_lanes_spread_over_all_workers(fleet: Fleet, disturbed: Disturbance) -> None:
    assert Counter(lane.worker for lane in disturbed.lanes) == dict.fromkeys(
        fleet.workers.workers, 2
    )
    assert [lane.unit.phase for lane in disturbed.lanes] == [Phase.COPYING] * 4


def test_an_orphan_beside_its_retry_changes_nothing(fleet: Fleet, disturbed: Disturbance) -> None:
    orphan, beside, behind = disturbed.orphan, disturbed.beside, disturbed.behind
    assert beside.attempt > orphan.unit.attempt
    assert (behind.attempt, behind.holder) == (beside.attempt, beside.holder)
    assert behind.counters.documents >= beside.counters.documents
    with pytest.raises(Fenced):
        fleet.ledger.units.check(DISTURBED, orphan.unit.unit, attempt=orphan.unit.attempt)
    # The retry had written all of them, and newer ones stay.
    assert disturbed.before.keys() == set(disturbed.late.keys)
    assert disturbed.after == disturbed.before


def test_lanes_of_a_dead_worker_go_on_at_the_other_one(
    fleet: Fleet, disturbed: Disturbance
) -> None:
    disturbed.run.succeed(seconds=PATIENCE)
    tasks = disturbed.run.tasks()
    copied = disturbed.run.copied()
    for lane in [*disturbed.of(disturbed.worker), disturbed.orphan]:
        assert tasks[lane.task]["try_number"] > 1
        assert tasks[lane.task]["hostname"] == disturbed.survivor
        assert copied[lane.unit.unit]["action"] == "resumed"
        now = state(fleet, lane)
        assert now.attempt > lane.unit.attempt
        assert (now.phase, now.counters.documents) == (Phase.COPIED, fleet.rows(lane.period))
        # Little more than the bulk that was held back: it went on behind a checkpoint.
        times = Counter(fleet.gateway.sent(unit_prefix(lane.period)))
        assert 0 < times.total() - len(times) < disturbed.sent[lane.period] / 2
    assert disturbed.run.recorded.outcome is RunOutcome.COMPLETED


def test_the_result_is_that_of_an_undisturbed_run(fleet: Fleet, disturbed: Disturbance) -> None:
    disturbed.run.succeed(seconds=PATIENCE)
    disturbed.alone.succeed(seconds=PATIENCE)

    wanted = fleet.documents(prefix(UNDISTURBED))
    documents = fleet.documents(prefix(DISTURBED))
    assert len(wanted) == sum(fleet.rows(period) for period in PERIODS)
    assert_same(documents, wanted)
    # Nothing the engine ever took is gone, whoever sent it.
    lost = set(fleet.gateway.sent(prefix(DISTURBED))) - {key for _, key in documents}
    assert not lost, f"{len(lost):,} documents were taken and are gone: {sorted(lost)[:5]}"

    certificates = fleet.certificates(DISTURBED)
    undisturbed = fleet.certificates(UNDISTURBED)
    assert certificates.keys() == undisturbed.keys()
    for key, certificate in undisturbed.items():
        assert certificate.verdict is Verdict.EQUAL
        for fact in ("verdict", "rows", "documents", "held_back", "rejected", "high", "low"):
            assert getattr(certificates[key], fact) == getattr(certificate, fact), (key, fact)
