"""Month boundaries, empty months, the last day of a range: no row lost, none twice."""

from __future__ import annotations

import pytest

from tests.integration.operators.stage import Stage

EDGES = {
    "before": "2024-12-31 23:59:59.999999+00",
    "first": "2025-01-01 00:00:00+00",
    "last": "2025-01-31 23:59:59.999999+00",
    "next": "2025-02-01 00:00:00+00",
    "march": "2025-03-31 23:59:59.999999+00",
    "april": "2025-04-01 00:00:00+00",
    "zoned": "2025-02-01 01:30:00+02",
}
"""Event times by key; the last one is still January in UTC."""


@pytest.fixture
def edges(stage: Stage) -> Stage:
    for key, at in EDGES.items():
        stage.add(key, at)
    return stage


def test_month_boundaries_and_an_empty_month(edges: Stage) -> None:
    edges.configure(**{"from": "2025-01-01", "to": "2025-03-31"})
    report = edges.run().whole()
    found = {unit["period"]: set(edges.documents(unit["index"])) for unit in report["units"]}
    # March stands in the range, February holds one row, no month without rows makes an index.
    assert found == {
        "2025-01": {"first", "last", "zoned"},
        "2025-02": {"next"},
        "2025-03": {"march"},
    }
    edges.execute("DELETE FROM events WHERE id = 'next'")
    assert {unit for lane in edges.run().plan() for unit in lane["units"]} == {
        "events/acme/2025-01",
        "events/acme/2025-03",
    }


def test_the_last_day_of_a_range_is_included(edges: Stage) -> None:
    report = edges.run(**{"from": "2025-01-31", "to": "2025-01-31"}).whole()
    (unit,) = report["units"]
    assert set(edges.documents(unit["index"])) == {"first", "last", "zoned"}, "whole months only"


def test_the_first_day_of_the_next_month_brings_that_month(edges: Stage) -> None:
    edges.configure(to="2025-02-01")
    report = edges.run().whole()
    assert [unit["period"] for unit in report["units"]] == ["2025-02", "2025-01"], "newest first"
    assert report["totals"]["documents"] == 4


def test_the_time_zone_of_the_database_changes_nothing(edges: Stage) -> None:
    edges.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''',"
        " current_database()); END $$"
    )
    (unit,) = edges.run().whole()["units"]
    documents = edges.documents(unit["index"])
    assert set(documents) == {"first", "last", "zoned"}
    assert documents["zoned"]["at"] == "2025-01-31T23:30:00+00:00"


def test_rows_younger_than_the_settle_lag_are_pending_and_come_later(stage: Stage) -> None:
    stage.execute(
        "INSERT INTO events SELECT 'new', 'acme', now() - interval '1 minute', 'done', '7'"
        " UNION ALL SELECT 'old', 'acme', now() - interval '2 hours', 'done', '7'"
    )
    stage.configure(to=None, settle_lag="30m")
    run = stage.run()
    report = run.whole()
    assert report["outcome"] == "completed"
    assert (report["totals"]["documents"], report["totals"]["pending"]) == (1, 1)
    assert report["totals"]["rows"] == 2
    stage.configure(to=None)
    assert stage.run().whole()["totals"]["documents"] == 2
