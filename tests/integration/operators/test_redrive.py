"""Dead letters are sent again, waived, or left, and the certificates tell which."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_logmigrate.core.certificate import Verdict
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import PlanUnusable, StillRejected
from airflow_provider_logmigrate.hooks.assembly import workbench
from airflow_provider_logmigrate.hooks.opening import find_migration, load_config
from airflow_provider_logmigrate.ledger.dead_letters import Choice, LetterState
from airflow_provider_logmigrate.operators import redrive_units
from airflow_provider_logmigrate.operators.redrive import RedriveOperator
from tests.integration.operators.run import TaskInstance
from tests.integration.operators.stage import EVENT_STREAM, Stage

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.certificate import Certificate
    from airflow_provider_logmigrate.ledger.dead_letters import DeadLetter

UNIT = "events/acme/2025-01"
NUMBERS = EVENT_STREAM | {"fields": {"note": {"type": "long"}}}
"""The column is text; its documents must hold numbers."""


def configure(stage: Stage, **changes: Any) -> None:
    stage.configure(**({"streams": {"events": NUMBERS}} | changes))


def redrive(stage: Stage, **params: Any) -> dict[str, Any]:
    run = stage.run()
    operator: Any = RedriveOperator(task_id="redrive", migration=stage.migration, tenant="acme")
    done = operator.execute({"ti": TaskInstance(run, "redrive"), "params": params})
    result: dict[str, Any] = done.get(UNIT, {})
    return result


def refused(stage: Stage, **params: Any) -> dict[str, Any]:
    """What a redrive reports that doesn't get everything through."""
    with pytest.raises(StillRejected) as caught:
        redrive(stage, **params)
    report: dict[str, Any] = caught.value.data["report"][UNIT]
    return report


def letters(stage: Stage) -> dict[str, DeadLetter]:
    with stage.ledger() as ledger:
        found = ledger.dead_letters.list(stage.migration, Choice(), state=None)
    return {letter.key: letter for letter in found}


def certificate(stage: Stage) -> Certificate:
    with stage.ledger() as ledger:
        found = ledger.certificates.latest(stage.migration, UNIT)
    assert found is not None
    return found


def with_two_refused(stage: Stage) -> Stage:
    """Sixty rows; two of them hold no number."""
    configure(stage)
    stage.fill(60)
    stage.execute("UPDATE events SET note = 'seven' WHERE id = 'e00005'")
    stage.execute("UPDATE events SET note = 'eight' WHERE id = 'e00006'")
    run = stage.run()
    run.copy()
    assert run.prove()[UNIT]["verdict"] == "equal_but_rejected"
    return stage


def be_lenient(stage: Stage) -> None:
    """Correct the mapping in place: a text that is no number is kept and not indexed."""
    body = {"properties": {"note": {"type": "long", "ignore_malformed": True}}}
    stage.client.request("PUT", f"/{stage.index(UNIT)}/_mapping", body=body)


def test_after_a_mapping_is_corrected_the_gap_closes(each_stage: Stage) -> None:
    stage = with_two_refused(each_stage)
    done = refused(stage)
    assert (done["letters"], done["arrived"], done["refused"], done["left"]) == (2, 0, 2, 0)
    assert [(x.state, x.tries) for x in letters(stage).values()] == [(LetterState.OPEN, 2)] * 2
    assert certificate(stage).rejected == 2

    be_lenient(stage)
    stage.execute("UPDATE events SET note = 'sieben' WHERE id = 'e00005'")
    assert redrive(stage, reason="no such reason") == {}
    done = redrive(stage, streams=["events"], reason="[note]")
    assert (done["letters"], done["arrived"], done["verdict"]) == (2, 2, "equal")
    assert stage.documents(stage.index(UNIT))["e00005"]["note"] == "sieben", "the newest content"
    assert {letter.state for letter in letters(stage).values()} == {LetterState.REDRIVEN}
    proven = certificate(stage)
    assert (proven.id, proven.verdict) == (done["certificate"], Verdict.EQUAL)
    assert (proven.rejected, proven.documents) == (0, 60)
    assert redrive(stage) == {}

    run = stage.run()
    assert run.copy()[UNIT]["action"] == "current", "there is nothing left to repair"
    run.prove()
    assert run.swap()["swapped"] == [UNIT], "what was withheld because of them"
    assert run.report()["outcome"] == "completed"


def test_a_new_version_of_the_index_takes_them_along(stage: Stage) -> None:
    with_two_refused(stage)
    stage.configure(streams={"events": EVENT_STREAM})
    done = refused(stage)
    assert done["arrived"] == 0
    assert "builds the next version of the index" in done["why"]
    assert [letter.tries for letter in letters(stage).values()] == [1, 1], "nothing was sent"

    run = stage.run()
    run.copy()
    assert run.prove()[UNIT]["verdict"] == "equal"
    assert certificate(stage).index == stage.index(UNIT, version=2)
    assert {letter.state for letter in letters(stage).values()} == {LetterState.REDRIVEN}


def test_a_row_that_is_gone_is_not_brought_back(stage: Stage) -> None:
    with_two_refused(stage)
    be_lenient(stage)
    stage.execute("DELETE FROM events WHERE id = 'e00005'")
    done = refused(stage)
    assert (done["arrived"], done["refused"], done["left"], done["verdict"]) == (1, 0, 1, "equal")
    assert "e00005" not in stage.documents(stage.index(UNIT))
    found = letters(stage)
    assert found["e00005"].state is LetterState.OPEN, "the only copy of its content stays in sight"
    assert found["e00006"].state is LetterState.REDRIVEN
    assert certificate(stage).documents == 59


def test_a_waived_document_stays_visible_and_lets_the_others_pass(stage: Stage) -> None:
    with_two_refused(stage)
    found = letters(stage)
    with stage.ledger() as ledger:
        with pytest.raises(PlanUnusable, match="a waiver needs a reason"):
            ledger.dead_letters.waive([found["e00005"].id], why=" ")
        with pytest.raises(PlanUnusable, match="no such dead letter"):
            ledger.dead_letters.waive([found["e00005"].id, 987654], why="no")
        ledger.dead_letters.waive([x.id for x in found.values()], why="a test's rows")
        waived = [entry for entry in ledger.history.list() if entry.action.endswith("waived")]
    assert [entry.detail["why"] for entry in waived] == ["a test's rows"] * 2
    assert redrive(stage) == {}, "they were given up"

    run = stage.run()
    run.copy()  # sends them once more, in vain, as every run does
    assert run.prove()[UNIT]["verdict"] == "equal_but_rejected"
    proven = certificate(stage)
    assert (proven.rejected, proven.waived, proven.documents) == (0, 2, 58)
    again = letters(stage)["e00005"]
    assert (again.state, again.tries, again.why) == (LetterState.WAIVED, 2, "a test's rows")
    assert again.who == "a test", "who waived it, not who sent it last"
    assert run.swap()["swapped"] == [UNIT]
    report = run.report()
    assert report["outcome"] == "completed_with_findings"
    assert report["units"][0]["waived"] == 2


def test_two_at_once_do_no_harm(stage: Stage) -> None:
    with_two_refused(stage)
    be_lenient(stage)

    def attempt(_: int) -> tuple[int, str | None]:
        migration = find_migration(load_config(), stage.migration)
        with stage.ledger() as ledger, workbench(migration, migration.streams) as bench:
            [done] = redrive_units.redrive(
                *(bench, ledger, Choice()), holder="a test", stop=Stop(), log=logging.getLogger()
            )
        return done.arrived, done.why

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(attempt, range(2)))
    assert 2 in [arrived for arrived, _ in ended]
    for arrived, why in ended:
        assert arrived == 2 or (why or "").startswith("attempt "), ended
    assert {letter.state for letter in letters(stage).values()} == {LetterState.REDRIVEN}
    assert certificate(stage).verdict is Verdict.EQUAL


ENDLESS = "e" * 600
"""The engine takes no longer key than 512 bytes, whatever its mapping says."""


def test_killed_between_sending_and_closing_none_is_lost_or_counted_twice(stage: Stage) -> None:
    with_two_refused(stage)
    stage.add(ENDLESS, "2025-01-31T12:00:00+00:00")
    run = stage.run()
    run.copy()
    run.prove()
    be_lenient(stage)
    before = certificate(stage)
    assert (before.rejected, before.documents) == (3, 58)
    command = [sys.executable, "-m", "tests.integration.operators.redrive_victim"]

    def kill(point: str) -> dict[str, LetterState]:
        victim = subprocess.run([*command, point], capture_output=True, text=True, timeout=120)
        assert victim.returncode == -signal.SIGKILL, victim.stderr
        arrived = {"e00005", "e00006"}
        assert arrived <= stage.documents(stage.index(UNIT)).keys()
        return {key: letter.state for key, letter in letters(stage).items()}

    for point in ("sent", "proven"):
        assert set(kill(point).values()) == {LetterState.OPEN}
        assert certificate(stage) == before

    through = {"e00005": LetterState.REDRIVEN, "e00006": LetterState.REDRIVEN}
    assert kill("certified") == through | {ENDLESS: LetterState.OPEN}

    def counted() -> tuple[int, int, str]:
        newest = certificate(stage)
        return newest.rejected, newest.documents, newest.verdict.value

    assert counted() == (1, 60, "equal_but_rejected")
    done = refused(stage)
    assert (done["letters"], done["arrived"], done["refused"], done["left"]) == (1, 0, 1, 0)
    assert counted() == (1, 60, "equal_but_rejected")
    with stage.ledger() as ledger:
        history = ledger.history.list(subject=f"{stage.migration}/{UNIT}", limit=1000)
    redriven = [x.detail["count"] for x in history if x.action == "dead_letters.redriven"]
    assert redriven == [2]
