"""The journal of one attempt, over a real ledger."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_logmigrate.core.checkpoint import Checkpoint, Counters, Cursor, Phase
from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import Journal, Rejected, SourceFinding
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.ledger.journal import LedgerJournal
from airflow_provider_logmigrate.ledger.ledger import Ledger

UPPER = datetime(2025, 2, 1, tzinfo=timezone.utc)


class Sinks:
    """What the task would show and keep in its state."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.checkpoints: list[dict[str, Any]] = []


@pytest.fixture
def sinks() -> Sinks:
    return Sinks()


def journal_of(ledger: Ledger, attempt: int, sinks: Sinks) -> Journal:
    return LedgerJournal(
        ledger=ledger,
        migration="dify",
        attempt=attempt,
        on_progress=sinks.progress.append,
        on_checkpoint=sinks.checkpoints.append,
    )


def write_all(journal: Journal, unit: UnitPlan, *, copied: bool = False) -> None:
    journal.dead_letters(unit, [Rejected("r", 400, "bad", "why", b"{}")])
    journal.findings(unit, [SourceFinding("odd", "k", "detail")])
    journal.checkpoint(
        unit,
        cursor=Cursor("2025-01-02", "k"),
        counters=Counters(3, 2, 1, 300),
        upper=UPPER,
        copied=copied,
    )


def test_what_is_written_survives_the_attempt(ledger: Ledger, unit: UnitPlan, sinks: Sinks) -> None:
    ledger.units.claim("dify", unit, attempt=1, holder="run")
    journal = journal_of(ledger, 1, sinks)
    write_all(journal, unit)
    write_all(journal, unit, copied=True)

    state = ledger.units.state("dify", unit.key)
    assert state is not None
    assert state.phase is Phase.COPIED
    assert state.checkpoint == Checkpoint(
        unit=unit.key,
        definition=unit.definition,
        phase=Phase.COPIED,
        attempt=1,
        upper="2025-02-01T00:00:00+00:00",
        cursor=Cursor("2025-01-02", "k"),
        counters=Counters(3, 2, 1, 300),
    )
    assert [Checkpoint.from_json(record) for record in sinks.checkpoints][-1] == state.checkpoint
    assert [record["phase"] for record in sinks.checkpoints] == ["copying", "copied"]
    assert ledger.dead_letters.unresolved("dify", unit.key).rejected == {"r"}
    assert ledger.findings.counts("dify") == {unit.key: {"odd": 1}}
    assert ledger.history.list()[0].action == "unit.copied"


def test_a_fenced_attempt_writes_nothing_more_anywhere(
    ledger: Ledger, unit: UnitPlan, sinks: Sinks
) -> None:
    ledger.units.claim("dify", unit, attempt=1, holder="orphan")
    journal = journal_of(ledger, 1, sinks)
    ledger.units.claim("dify", unit, attempt=2, holder="retry")

    with pytest.raises(Fenced):
        journal.dead_letters(unit, [Rejected("r", 400, "bad", "why", b"{}")])
    with pytest.raises(Fenced):
        journal.findings(unit, [SourceFinding("odd", "k", "detail")])
    with pytest.raises(Fenced):
        journal.checkpoint(unit, cursor=None, counters=Counters(), upper=UPPER, copied=True)

    state = ledger.units.state("dify", unit.key)
    assert state is not None
    assert (state.phase, state.checkpoint, state.attempt) == (Phase.COPYING, None, 2)
    assert ledger.dead_letters.list("dify", state=None) == []
    assert ledger.findings.counts("dify") == {}
    assert sinks.checkpoints == []


def test_progress_is_shown(ledger: Ledger, unit: UnitPlan, sinks: Sinks) -> None:
    ledger.units.claim("dify", unit, attempt=1, holder="run 1")
    progress = Progress(unit.key, 10, 5, 0, 500, 1.0, 5.0)

    journal_of(ledger, 1, sinks).progress(progress)

    assert sinks.progress == [progress]


def test_an_attempt_that_was_taken_over_shows_nothing(
    ledger: Ledger, unit: UnitPlan, sinks: Sinks
) -> None:
    ledger.units.claim("dify", unit, attempt=1, holder="run 1")
    ledger.units.claim("dify", unit, attempt=2, holder="run 2")

    with pytest.raises(Fenced, match="taken over by attempt 2"):
        journal_of(ledger, 1, sinks).progress(Progress(unit.key, 10, 5, 0, 500, 1.0, 5.0))

    assert sinks.progress == []
