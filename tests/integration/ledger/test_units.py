"""Attempts, claims and checkpoints: who holds a unit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import Connection, text

from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Cursor, Phase
from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.fence import hold
from airflow_provider_logmigrate.ledger.ledger import Ledger


def checkpoint_of(
    unit: UnitPlan, attempt: int, *, read: int = 7, phase: Phase = Phase.COPYING
) -> Checkpoint:
    return Checkpoint(
        unit=unit.key,
        definition=unit.definition,
        phase=phase,
        attempt=attempt,
        upper="2025-02-01T00:00:00+00:00",
        cursor=Cursor("2025-01-03 04:05:06.123456", 'a "key" \\ with\0null and €'),
        counters=Counters(read=read, documents=read - 1, rejected=1, bytes=read * 100),
    )


def test_attempts_count_upwards(ledger: Ledger, database: str) -> None:
    with Ledger(database, who="other") as other:
        attempts = [ledger.units.begin_attempt(), other.units.begin_attempt()]
        attempts.append(ledger.units.begin_attempt())

    assert attempts == sorted(set(attempts))


def test_a_checkpoint_is_given_back_exactly_to_the_next_attempt(
    ledger: Ledger, unit: UnitPlan
) -> None:
    assert ledger.units.claim("dify", unit, attempt=1, holder="run 1") is None
    kept = checkpoint_of(unit, 1)
    ledger.units.checkpoint("dify", kept)

    assert ledger.units.claim("dify", unit, attempt=2, holder="run 2") == kept


def test_claiming_twice_with_one_attempt_is_harmless(ledger: Ledger, unit: UnitPlan) -> None:
    ledger.units.claim("dify", unit, attempt=5, holder="run 1")
    kept = checkpoint_of(unit, 5)
    ledger.units.checkpoint("dify", kept)

    assert ledger.units.claim("dify", unit, attempt=5, holder="run 1") == kept


def test_an_old_attempt_is_refused_at_the_claim(ledger: Ledger, unit: UnitPlan) -> None:
    ledger.units.claim("dify", unit, attempt=9, holder="run 2, host b")

    with pytest.raises(Fenced, match=r"attempt 8 was taken over by attempt 9 \(run 2, host b\)"):
        ledger.units.claim("dify", unit, attempt=8, holder="run 1")

    state = ledger.units.state("dify", unit.key)
    assert state is not None
    assert (state.attempt, state.holder) == (9, "run 2, host b")


def test_an_old_attempt_is_refused_at_the_checkpoint_and_changes_nothing(
    ledger: Ledger, unit: UnitPlan
) -> None:
    ledger.units.claim("dify", unit, attempt=1, holder="orphan")
    ledger.units.claim("dify", unit, attempt=2, holder="retry")
    kept = checkpoint_of(unit, 2, read=3)
    ledger.units.checkpoint("dify", kept)

    with pytest.raises(Fenced, match="taken over by attempt 2") as caught:
        ledger.units.checkpoint("dify", checkpoint_of(unit, 1, read=1000))

    state = ledger.units.state("dify", unit.key)
    assert state is not None
    assert state.checkpoint == kept
    assert state.counters == kept.counters
    assert caught.value.data == {"attempt": 1, "stored": 2, "holder": "retry"}


def test_a_checkpoint_without_a_claim_is_refused(ledger: Ledger, unit: UnitPlan) -> None:
    with pytest.raises(Fenced, match="doesn't know the unit"):
        ledger.units.checkpoint("dify", checkpoint_of(unit, 1))
    ledger.units.claim("dify", unit, attempt=1, holder="run")
    with pytest.raises(Fenced, match="attempt 2 never claimed the unit"):
        ledger.units.checkpoint("dify", checkpoint_of(unit, 2))


def test_the_newest_of_many_claims_at_once_wins(
    ledger: Ledger, database: str, unit: UnitPlan
) -> None:
    ledger.check()
    attempts = [4, 8, 1, 6, 3, 7, 2, 5]
    gate = threading.Barrier(len(attempts))

    def claim(attempt: int) -> int | None:
        with Ledger(database, who=f"attempt {attempt}") as mine:
            mine.check()
            gate.wait()
            try:
                mine.units.claim("dify", unit, attempt=attempt, holder=f"attempt {attempt}")
                mine.units.checkpoint("dify", checkpoint_of(unit, attempt))
            except Fenced as error:
                return int(error.data["stored"])
        return None

    with ThreadPoolExecutor(len(attempts)) as pool:
        refused_by = dict(zip(attempts, pool.map(claim, attempts), strict=True))

    assert refused_by[8] is None
    assert all(by is None or by > attempt for attempt, by in refused_by.items())
    state = ledger.units.state("dify", unit.key)
    assert state is not None
    assert (state.attempt, state.holder) == (8, "attempt 8")
    assert state.checkpoint == checkpoint_of(unit, 8)


def test_a_unit_whose_definition_changed_starts_anew(ledger: Ledger, unit: UnitPlan) -> None:
    ledger.units.claim("dify", unit, attempt=1, holder="run 1")
    ledger.units.checkpoint("dify", checkpoint_of(unit, 1, phase=Phase.COPIED))
    changed = replace(unit, definition="d2", index="runs-2025-01-v2")

    assert ledger.units.claim("dify", changed, attempt=2, holder="run 2") is None

    state = ledger.units.state("dify", unit.key)
    assert state is not None
    assert (state.definition, state.index) == ("d2", "runs-2025-01-v2")
    assert (state.phase, state.checkpoint, state.counters) == (Phase.COPYING, None, Counters())


def test_a_checkpoint_of_another_format_is_not_guessed_at(
    ledger: Ledger, database: str, unit: UnitPlan
) -> None:
    ledger.units.claim("dify", unit, attempt=1, holder="run 1")
    ledger.units.checkpoint("dify", checkpoint_of(unit, 1))
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE logmigrate.unit SET checkpoint = '{\"format\": 99}'")

    assert ledger.units.claim("dify", unit, attempt=2, holder="run 2") is None


def test_states_of_a_tenant(ledger: Ledger, unit: UnitPlan) -> None:
    other = replace(unit, unit=replace(unit.unit, tenant="zoo"))
    ledger.units.claim("dify", unit, attempt=1, holder="run")
    ledger.units.claim("dify", other, attempt=1, holder="run")
    ledger.units.claim("elsewhere", unit, attempt=1, holder="run")

    assert [state.unit for state in ledger.units.states("dify")] == [unit.key, other.key]
    (state,) = ledger.units.states("dify", tenant=unit.unit.tenant)
    assert (state.unit, state.stream, state.tenant, state.period) == (
        unit.key,
        "workflow_runs",
        "Ac*me, Ltd",
        "2025-01",
    )
    assert ledger.units.states("dify", tenant="Ac") == []


def test_an_attempt_frozen_inside_a_transaction_gives_way(
    ledger: Ledger, database: str, unit: UnitPlan
) -> None:
    ledger.units.claim("dify", unit, attempt=1, holder="frozen")
    inside, thaw = threading.Event(), threading.Event()
    frozen = Database(database, who="frozen", timeout_seconds=1)

    def work(connection: Connection) -> None:
        hold(connection, migration="dify", unit=unit.key, attempt=1)
        inside.set()
        thaw.wait(30)
        connection.execute(text("UPDATE logmigrate.unit SET rows_read = 666"))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(frozen.transact, work)
        assert inside.wait(10)
        ledger.units.claim("dify", unit, attempt=2, holder="retry")  # waits for the row
        thaw.set()
        with pytest.raises(Fenced, match="taken over by attempt 2"):
            writing.result(30)
    frozen.close()

    state = ledger.units.state("dify", unit.key)
    assert state is not None
    assert state.counters.read == 0
