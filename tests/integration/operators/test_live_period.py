"""A month that is still being written: rows settle, change and arrive between the steps."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_provider_logmigrate.core.errors import CertificateMissing, ProofFailed
from airflow_provider_logmigrate.core.unit import month_of
from tests.integration.operators.errors import told
from tests.integration.operators.stage import EVENT_STREAM, Run, Stage

THIS_MONTH = month_of(datetime.now(timezone.utc))
UNIT = f"events/acme/{THIS_MONTH.label}"
STREAM = EVENT_STREAM | {"settled": {"column": "state", "values": ["done"]}}


@pytest.fixture
def live(stage: Stage) -> Run:
    """A copied month with 20 settled rows and one that is still running."""
    stage.configure(streams={"events": STREAM}, to=None, **{"from": f"{THIS_MONTH.start:%Y-%m-%d}"})
    # The first instant of the month: whatever the hour of this test, it is in the past.
    stage.execute(
        "INSERT INTO events SELECT 'e' || n, 'acme', %(at)s, 'done', '7'"
        " FROM generate_series(1, 20) AS n",
        {"at": THIS_MONTH.start},
    )
    stage.execute(
        "INSERT INTO events VALUES ('slow', 'acme', %(at)s, 'running', '7')",
        {"at": THIS_MONTH.start},
    )
    run = stage.run()
    assert run.copy()[UNIT]["documents"] == 20
    return run


def settle(stage: Stage, key: str) -> None:
    stage.execute("UPDATE events SET state = 'done' WHERE id = %s", (key,))


def test_what_settles_before_the_proof_is_no_false_alarm(live: Run) -> None:
    stage = live.stage
    settle(stage, "slow")
    stage.execute("UPDATE events SET note = 'changed' WHERE id = 'e1'")
    stage.add("new", THIS_MONTH.start.isoformat())
    proven = live.prove()[UNIT]
    assert proven["verdict"] == "equal"
    assert (proven["rows"], proven["documents"], proven["held_back"]) == (22, 22, 0)
    documents = stage.documents(stage.index(UNIT))
    assert documents["e1"]["note"] == "changed"
    assert {"slow", "new"} <= documents.keys()


def test_what_settles_before_the_cut_over_is_in_its_certificate(live: Run) -> None:
    stage = live.stage
    assert live.prove()[UNIT]["held_back"] == 1
    settle(stage, "slow")
    swapped = live.swap()
    assert swapped["swapped"] == [UNIT]
    with stage.ledger() as ledger:
        relied_on = ledger.cutovers.get(swapped["cutover"]).certificates
        newest = ledger.certificates.latest_by_unit(stage.migration)[UNIT]
    assert relied_on == (newest.id,)
    assert (newest.rows, newest.held_back) == (21, 0)
    assert stage.count(f"{stage.prefix}-events-acme") == 21


def test_what_a_living_source_can_not_have_done_is_a_finding(live: Run) -> None:
    stage = live.stage
    stage.client.request(
        "PUT",
        f"/{stage.index(UNIT)}/_doc/stranger",
        body={"id": "stranger", "at": THIS_MONTH.start.isoformat()},
    )
    with told(ProofFailed, UNIT, "extra stranger", retried=False):
        live.prove()
    with told(CertificateMissing, UNIT, "differs", retried=False):
        live.swap()
    assert stage.aliases() == {}
