"""Deleting proven rows: whole groups, nothing unproven, nothing outside of the plan."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest

from airflow_provider_logmigrate.core.certificate import Verdict
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    CertificateMissing,
    Fenced,
    Interrupted,
    SourceUnavailable,
)
from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.purge_ports import DeletionLog, Removal
from airflow_provider_logmigrate.stores.postgres.purge_tables import obstacles
from tests.integration.postgres.purge_fixtures import empty_ledger, ledger_dsn
from tests.integration.postgres.purge_rig import (
    MIGRATION,
    RUNS_UNIT,
    STEPS_UNITS,
    PurgeRig,
    certificate,
    purge_plan_unit,
    whole_runs,
)
from tests.integration.postgres.rig import execute

__all__ = ["empty_ledger", "ledger_dsn"]

UNIT = purge_plan_unit(RUNS_UNIT, *STEPS_UNITS)
STEPS = purge_plan_unit(STEPS_UNITS[0])


@pytest.fixture(params=[True, False], ids=["indexed", "not_indexed"])
def any_rig(request: pytest.FixtureRequest, database: str, empty_ledger: str) -> Iterator[PurgeRig]:
    rig = PurgeRig(database, empty_ledger, indexed=request.param)
    rig.copy()
    yield rig
    rig.close()


@pytest.fixture
def rig(database: str, empty_ledger: str) -> Iterator[PurgeRig]:
    rig = PurgeRig(database, empty_ledger)
    rig.copy()
    yield rig
    rig.close()


def gone(rig: PurgeRig, before: dict[str, dict[str, str]]) -> dict[str, set[str]]:
    """Keys that left; every other row is exactly as it was."""
    after = rig.rows_now()
    for table, rows in after.items():
        assert rows.items() <= before[table].items()
    return {table: before[table].keys() - after[table].keys() for table in before}


def once(work: Callable[[], object]) -> Callable[[], None]:
    """Does something before the first batch only."""
    left = [work]

    def run() -> None:
        if left:
            left.pop()()

    return run


def test_whole_runs_of_the_unit_go_and_nothing_else(any_rig: PurgeRig) -> None:
    before = any_rig.rows_now()

    outcome = any_rig.purge(UNIT)

    assert gone(any_rig, before) == whole_runs(before)
    assert dict(outcome.rows) == {t: len(keys) for t, keys in whole_runs(before).items()}
    assert any_rig.counted(UNIT) == dict(outcome.rows)
    assert not outcome.stayed
    assert not outcome.left_behind
    purged = any_rig.ledger.deletions.gone(MIGRATION, RUNS_UNIT.key)
    assert sum(bucket.count for bucket in purged.values()) == outcome.rows["runs"]
    sums = [any_rig.documents.prints_of["runs", key] for key in whole_runs(before)["runs"]]
    total = sum(purged.values(), Bucket(0, 0, 0))
    assert (total.high, total.low) == (sum(h for h, _ in sums), sum(low for _, low in sums))


def test_a_second_purge_finds_nothing_to_do(rig: PurgeRig) -> None:
    rig.purge(UNIT)
    before = rig.rows_now()

    outcome = rig.purge(UNIT)

    assert rig.rows_now() == before
    assert not outcome.rows


def test_rows_of_no_run_go_by_their_own_rule(rig: PurgeRig) -> None:
    before = rig.rows_now()

    outcome = rig.purge(STEPS)

    assert gone(rig, before) == {
        "runs": set(),
        "notes": set(),
        "steps": {"single1", "single2", "single3"},
    }
    assert dict(outcome.rows) == {"steps": 3}


def test_rows_whose_run_is_gone_go_by_themselves(rig: PurgeRig) -> None:
    execute(rig.dsn, "DELETE FROM runs WHERE id = 'acme3'")

    outcome = rig.purge(STEPS)

    assert outcome.rows["steps"] == 3 + 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE runs SET body = 'changed' WHERE id = 'acme3'", "runs changed since"),
        ("UPDATE steps SET body = 'changed' WHERE id = 'acme3.1'", "steps changed since"),
        ("UPDATE runs SET state = 'running' WHERE id = 'acme3'", "unsettled by now"),
    ],
)
@pytest.mark.parametrize("when", ["after the copy", "between listing and delete"])
def test_a_row_that_changed_stays_with_its_whole_run(
    rig: PurgeRig, change: str, reason: str, when: str
) -> None:
    before = rig.rows_now()
    hook = once(lambda: execute(rig.dsn, change))
    if when == "after the copy":
        hook()
    outcome = rig.purge(UNIT, before_batch=hook)

    after = rig.rows_now()
    expected = whole_runs(before)
    assert before["runs"].keys() - after["runs"].keys() == expected["runs"] - {"acme3"}
    assert before["steps"].keys() - after["steps"].keys() >= expected["steps"] - {
        *("acme3.0", "acme3.1", "acme3.2")
    }
    assert {"acme3.0"} <= after["steps"].keys()
    if when == "between listing and delete":
        assert [reason in found for found in outcome.stayed] == [True]
        assert list(outcome.examples.values()) == ["acme3"]


def test_a_row_that_vanishes_between_listing_and_delete_keeps_its_run(rig: PurgeRig) -> None:
    change = "DELETE FROM steps WHERE id = 'acme3.2'"

    outcome = rig.purge(UNIT, before_batch=once(lambda: execute(rig.dsn, change)))

    assert {"acme3.0", "acme3.1"} <= rig.rows_now()["steps"].keys()
    assert dict(outcome.stayed) == {"a row of steps is gone already": 1}


def test_a_row_without_a_document_keeps_its_run(rig: PurgeRig) -> None:
    del rig.documents.prints_of["steps", "acme3.1"]
    before = rig.rows_now()

    outcome = rig.purge(UNIT)

    assert "acme3" in rig.rows_now()["runs"]
    assert len(gone(rig, before)["runs"]) == len(whole_runs(before)["runs"]) - 1
    assert dict(outcome.stayed) == {"a row of steps has no document": 1}


@pytest.mark.parametrize("altered", [("steps", "acme3.1"), ("runs", "acme3")])
def test_an_altered_document_keeps_its_run_and_no_other_one(
    any_rig: PurgeRig, altered: tuple[str, str]
) -> None:
    high, low = any_rig.documents.prints_of[altered]
    any_rig.documents.prints_of[altered] = high + 1, low
    before = any_rig.rows_now()

    outcome = any_rig.purge(UNIT)

    assert gone(any_rig, before)["runs"] == whole_runs(before)["runs"] - {"acme3"}
    assert dict(outcome.stayed) == {f"a row of {altered[0]} changed since it was copied": 1}
    assert list(outcome.examples.values()) == ["acme3"]
    assert any_rig.counted(UNIT) == dict(outcome.rows)


def test_sums_that_never_add_up_delete_nothing_and_end(
    rig: PurgeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if rows or documents changed whenever nobody looks."""
    monkeypatch.setattr(rig.documents, "proof", lambda _plan, keys: Bucket(len(keys), 0, 0))
    before = rig.rows_now()

    outcome = rig.purge(UNIT)

    assert rig.rows_now() == before
    assert sum(outcome.stayed.values()) == len(whole_runs(before)["runs"])
    assert list(outcome.stayed) == ["rows beside it changed again and again"]
    assert rig.purge_open() == 0


def test_a_change_that_a_delete_has_to_wait_for_is_seen(rig: PurgeRig) -> None:
    """The delete meets the new version of a row that it found as the old one."""
    before = rig.rows_now()
    with closing(psycopg2.connect(rig.dsn)) as writer:
        writer.cursor().execute("UPDATE steps SET body = 'changed' WHERE id = 'acme3.1'")
        later = threading.Timer(0.3, writer.commit)

        outcome = rig.purge(UNIT, before_batch=once(later.start))
        later.join()

    assert "acme3" in rig.rows_now()["runs"]
    assert outcome.rows["runs"] == len(whole_runs(before)["runs"]) - 1
    assert {"acme3.0", "acme3.1", "acme3.2"} <= rig.rows_now()["steps"].keys()
    assert dict(outcome.stayed) == {"a row of steps changed since it was copied": 1}


def test_a_row_that_appears_with_its_document_keeps_its_run(rig: PurgeRig) -> None:
    late = "INSERT INTO steps VALUES ('late', 'acme3', 'acme', '2025-01-01 04:00+00', 'done', '')"

    def appear() -> None:
        execute(rig.dsn, late)
        rig.copy()

    outcome = rig.purge(UNIT, before_batch=once(appear))

    assert {"acme3.0", "late"} <= rig.rows_now()["steps"].keys()
    assert dict(outcome.stayed) == {"a row of steps appeared during the purge": 1}


def test_a_row_that_went_to_another_run_stays_with_it(any_rig: PurgeRig) -> None:
    def move() -> None:
        execute(any_rig.dsn, "UPDATE steps SET run = 'acme7' WHERE id = 'acme3.1'")
        any_rig.copy()

    outcome = any_rig.purge(UNIT, before_batch=once(move))

    assert {"acme3.0", "acme3.1", "acme3.2"} <= any_rig.rows_now()["steps"].keys()
    assert dict(outcome.stayed) == {"a row of steps is gone already": 1}


def test_a_row_that_appears_behind_the_delete_is_reported(rig: PurgeRig) -> None:
    late = "INSERT INTO steps VALUES ('late', 'acme3', 'acme', '2025-01-01 04:00+00', 'done', '')"

    class Late:
        """Writes while the transaction waits for the ledger."""

        def __init__(self, log: DeletionLog) -> None:
            self._log = log
            self.open, self.settle, self.drop = log.open, log.settle, log.drop

        def intend(self, removal: Removal) -> int:
            if "acme3" in removal.keys["runs"]:
                execute(rig.dsn, late)
            return self._log.intend(removal)

    outcome = rig.purge(UNIT, log=Late)

    assert "late" in rig.rows_now()["steps"]
    assert dict(outcome.left_behind) == {"steps": 1}


def test_a_row_in_a_unit_outside_of_the_plan_keeps_its_run(rig: PurgeRig) -> None:
    execute(rig.dsn, "UPDATE steps SET at = '2025-02-01 00:10+00' WHERE id = 'acme3.2'")
    rig.copy()

    outcome = rig.purge(purge_plan_unit(RUNS_UNIT, STEPS_UNITS[0]))

    assert "acme3.2" in rig.rows_now()["steps"]
    assert "acme3" in rig.rows_now()["runs"]
    ((reason, count),) = outcome.stayed.items()
    assert count == 1
    assert "steps/acme/2025-02, which the plan leaves out" in reason


def test_a_row_that_appears_during_the_purge_keeps_its_run_or_is_reported(
    any_rig: PurgeRig,
) -> None:
    indexed = any_rig.tables.leads("steps", "run")
    late = "INSERT INTO steps VALUES ('late', 'acme3', 'acme', '2025-01-01 04:00+00', 'done', '')"

    outcome = any_rig.purge(UNIT, before_batch=once(lambda: execute(any_rig.dsn, late)))

    after = any_rig.rows_now()
    assert "late" in after["steps"], "it was never proven"
    assert ("acme3" in after["runs"]) is indexed
    assert dict(outcome.left_behind) == ({} if indexed else {"steps": 1})


def test_an_attempt_that_was_taken_over_deletes_nothing(rig: PurgeRig) -> None:
    before = rig.rows_now()
    attempt = rig.claim(UNIT)

    with pytest.raises(Fenced):
        rig.purge(UNIT, attempt=attempt, before_batch=once(lambda: rig.claim(UNIT)))

    assert rig.rows_now() == before
    assert rig.counted(UNIT) == {}


@pytest.mark.parametrize("plan", [RUNS_UNIT, STEPS_UNITS[0]])
def test_a_newer_certificate_that_differs_stops_the_purge(rig: PurgeRig, plan: object) -> None:
    before = rig.rows_now()
    newer = certificate(plan, Verdict.DIFFERENT, number=2)  # type: ignore[arg-type]

    with pytest.raises(CertificateMissing, match="says different"):
        rig.purge(UNIT, before_batch=once(lambda: rig.ledger.certificates.save(MIGRATION, newer)))

    assert rig.rows_now() == before
    assert rig.purge_open() == 0


def test_a_stop_ends_it_between_two_batches(rig: PurgeRig) -> None:
    stop = Stop()

    with pytest.raises(Interrupted):
        rig.purge(UNIT, stop=stop, before_batch=lambda: stop.set("asked"))

    assert rig.counted(UNIT) == {}


def test_a_locked_row_is_waited_for_without_queueing_behind_it(
    rig: PurgeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_logmigrate.core.purge_run.PAUSE_SECONDS", 0.05)
    before = rig.rows_now()
    with closing(psycopg2.connect(rig.dsn)) as holder:
        holder.cursor().execute("SELECT 1 FROM runs WHERE id = 'acme3' FOR UPDATE")
        tries: list[int] = []

        def release_at_the_second() -> None:
            tries.append(1)
            if len(tries) == 2:
                holder.rollback()

        rig.purge(UNIT, before_batch=release_at_the_second)

    assert gone(rig, before) == whole_runs(before)


def test_a_row_that_stays_locked_ends_the_attempt(
    rig: PurgeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_logmigrate.core.purge_run.PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("airflow_provider_logmigrate.core.purge_run.MOST_FAILURES", 2)
    before = rig.rows_now()
    with closing(psycopg2.connect(rig.dsn)) as holder:
        holder.cursor().execute("SELECT 1 FROM runs WHERE id = 'acme3' FOR UPDATE")
        with pytest.raises(SourceUnavailable, match="lock timeout"):
            rig.purge(UNIT)
        holder.rollback()

    assert rig.rows_now() == before


def test_a_foreign_key_from_elsewhere_forbids_the_purge(rig: PurgeRig) -> None:
    execute(rig.dsn, "CREATE TABLE elsewhere (run text REFERENCES runs ON DELETE CASCADE)")
    execute(
        rig.dsn,
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "CREATE TRIGGER on_delete BEFORE DELETE ON steps FOR EACH ROW EXECUTE FUNCTION noted()",
    )

    forbidding, notes = obstacles(rig.rig.sessions, rig.scopes["runs"])

    assert forbidding == ["elsewhere has a foreign key to runs and isn't part of the purge"]
    assert notes == ["trigger on_delete runs when a row of steps goes"]
