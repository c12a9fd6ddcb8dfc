"""Documents the engine will never take: one of many, and all of them."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_logmigrate.core.certificate import Verdict
from airflow_provider_logmigrate.core.errors import CertificateMissing, TooManyRejected
from airflow_provider_logmigrate.ledger.dead_letters import LetterState
from tests.faults.integration.gateway import before
from tests.integration.operators.errors import told
from tests.integration.operators.stage import EVENT_STREAM, TARGET, Stage

UNIT = "events/acme/2025-01"
NUMBERS = EVENT_STREAM | {"fields": {"note": {"type": "long"}}}
"""The column is text; its documents must hold numbers."""


def configure(stage: Stage, **limits: Any) -> None:
    stage.configure(streams={"events": NUMBERS}, limits=limits)


def test_one_document_among_ten_thousand(each_stage: Stage) -> None:
    stage = each_stage
    configure(stage)
    stage.fill(10_000)
    stage.execute("UPDATE events SET note = 'seven' WHERE id = 'e05000'")
    run = stage.run()
    counted = run.copy()[UNIT]
    assert (counted["documents"], counted["rejected"], counted["read"]) == (9_999, 1, 10_000)
    with stage.ledger() as ledger:
        (letter,) = ledger.dead_letters.list(stage.migration)
        document = json.loads(ledger.dead_letters.document(letter.id) or b"")
    assert (letter.unit, letter.key, letter.status) == (UNIT, "e05000", 400)
    assert letter.index == stage.index(UNIT)
    assert "note" in letter.reason
    assert "seven" in letter.reason
    assert document["note"] == "seven", "the refused text itself is kept"

    proven = run.prove()[UNIT]
    assert (proven["verdict"], proven["rejected"]) == ("equal_but_rejected", 1)
    swapped = run.swap()
    assert swapped["swapped"] == []
    assert "1 rejected documents, 0 are accepted" in swapped["withheld"][UNIT]
    assert stage.aliases() == {}
    report = run.report()
    assert report["outcome"] == "completed_with_findings"
    assert report["totals"]["rejected"] == 1
    assert report["units"][0]["withheld"] == swapped["withheld"][UNIT]

    configure(stage, accept_rejected=1)
    run = stage.run()
    run.copy()
    run.prove()
    assert run.swap()["swapped"] == [UNIT]
    assert run.report()["outcome"] == "completed_with_findings"
    assert stage.count(f"{stage.prefix}-events-acme") == 9_999

    stage.execute("UPDATE events SET note = '8' WHERE id = 'e05000'")
    run = stage.run()
    counted = run.copy()[UNIT]
    assert counted["action"] == "repaired"
    assert counted["read"] < 10_100, "only the hour that differs was read again, twice"
    assert run.prove()[UNIT]["verdict"] == "equal"
    run.swap()
    assert run.report()["outcome"] == "completed"
    with stage.ledger() as ledger:
        assert ledger.dead_letters.list(stage.migration) == []
        (resolved,) = ledger.dead_letters.list(stage.migration, state=None)
        assert resolved.state is LetterState.REDRIVEN
        assert ledger.dead_letters.counts(stage.migration) == {}


def test_every_document_is_refused_and_that_shows_early(each_stage: Stage) -> None:
    stage, rows, chunk_rows = each_stage, 20_000, 300
    configure(stage, chunk="64KiB", in_flight=2)
    stage.fill(rows, note="none of these is a number")
    run = stage.run()
    with before(stage.engine.url) as gateway:
        stage.connect(TARGET, **stage.search_fields(gateway.url))
        run.plan()
        with told(TooManyRejected, UNIT, "were rejected", "dead letters", retried=False) as caught:
            run.backfill()
        assert gateway.documents <= 6 * chunk_rows, "what was on its way when the first came back"
    rejected = caught.value.data["rejected"]
    assert 200 <= rejected == caught.value.data["tried"]
    with stage.ledger() as ledger:
        letters = ledger.dead_letters.counts(stage.migration)[UNIT]
        state = ledger.units.state(stage.migration, UNIT)
    assert rejected <= letters <= gateway.documents
    assert state is not None
    assert (state.phase.value, state.counters.documents) == ("copying", 0)
    assert state.counters.rejected == letters, "every refused row that was passed is kept"
    assert stage.settings(stage.index(UNIT))["index.refresh_interval"] == "30s"
    with told(CertificateMissing, UNIT, retried=False):
        run.swap()


def test_many_but_not_most_stop_at_the_limit(stage: Stage) -> None:
    configure(stage, chunk="64KiB", in_flight=1, max_rejected=20)
    stage.fill(3_000)
    stage.execute("UPDATE events SET note = 'x' WHERE id BETWEEN 'e01000' AND 'e01119'")
    run = stage.run()
    run.plan()
    with told(TooManyRejected, UNIT, retried=False) as caught:
        run.backfill()
    assert caught.value.data["rejected"] > 20
    configure(stage, chunk="64KiB", in_flight=1, max_rejected=120)
    counted = run.backfill()["units"][UNIT]
    assert (counted["action"], counted["documents"], counted["rejected"]) == ("resumed", 2_880, 120)
    assert run.prove()[UNIT]["verdict"] == "equal_but_rejected"


def test_a_certificate_with_rejections_is_checked_again_at_the_cut_over(stage: Stage) -> None:
    """A document that changed after the proof is seen although the sums differ anyway."""
    configure(stage, accept_rejected=1)
    stage.fill(100)
    stage.execute("UPDATE events SET note = 'seven' WHERE id = 'e00050'")
    run = stage.run()
    run.copy()
    run.prove()
    index = stage.index(UNIT)
    altered = stage.documents(index)["e00007"]
    altered["logmigrate"] = {"high": 1, "low": 2}
    stage.client.request("PUT", f"/{index}/_doc/e00007", body=altered)
    with told(CertificateMissing, UNIT, "isn't true any more", "stale", retried=False):
        run.swap()
    assert stage.aliases() == {}
    with stage.ledger() as ledger:
        stored = ledger.certificates.latest_by_unit(stage.migration)[UNIT]
    assert stored.verdict is Verdict.EQUAL_BUT_REJECTED, "what was proven then stays on record"


def test_one_unit_s_failure_does_not_keep_the_others_from_being_copied(stage: Stage) -> None:
    configure(stage)
    stage.configure(streams={"events": NUMBERS}, **{"from": "2025-01-01", "to": "2025-02-28"})
    stage.fill(500)
    stage.execute(
        "INSERT INTO events SELECT 'f' || n, 'acme', timestamptz '2025-02-10 00:00+00', 'done', 'x'"
        " FROM generate_series(1, 500) AS n"
    )
    run = stage.run()
    run.plan()
    assert run.lanes[0]["units"][0] == "events/acme/2025-02", "the bad one comes first"
    with told(TooManyRejected, "events/acme/2025-02", retried=False):
        run.backfill()
    assert stage.phase("events/acme/2025-02") == "copying"
    assert stage.phase(UNIT) == "copied"
    assert stage.count(stage.index(UNIT)) == 500
