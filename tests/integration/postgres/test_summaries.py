"""What a unit holds: bounds to the microsecond, what is held back, what is too young."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.ports import TimeRange
from airflow_provider_logmigrate.core.stream import SettledBy
from airflow_provider_logmigrate.core.unit import UTC, Period, day_of, month_of
from airflow_provider_logmigrate.streams import dify as dify_pack
from tests.integration.postgres.conftest import SampleDatabase
from tests.integration.postgres.rig import (
    ALL_STRATEGIES,
    FEBRUARY,
    JANUARY,
    Rig,
    execute,
    own_stream,
    utc,
)

DECEMBER = Period.from_label("2024-12")
TIMES = pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
SETTLED = own_stream(settled=SettledBy("status", ("done",)))


def table(kind: str, *rows: str) -> tuple[str, ...]:
    """Statements for rows given as ``(id, at, status)``."""
    return (
        f"CREATE TABLE events (id int PRIMARY KEY, tenant text DEFAULT 't', at {kind},"
        " status text)",
        *(f"INSERT INTO events (id, at, status) VALUES ({row})" for row in rows),
    )


@TIMES
def test_a_month_is_half_open_to_the_microsecond(database: str, kind: str) -> None:
    execute(
        database,
        "SET timezone = 'UTC'",
        *table(
            kind,
            "1, '2024-12-31 23:59:59.999999', 'done'",
            "2, '2025-01-01 00:00:00', 'done'",
            "3, '2025-01-31 23:59:59.999999', 'done'",
            "4, '2025-02-01 00:00:00', 'done'",
            "5, 'infinity', 'done'",
            "6, '-infinity', 'done'",
            "7, NULL, 'done'",
        ),
    )
    rig = Rig(database, SETTLED)
    wanted = {DECEMBER: ["1"], JANUARY: ["2", "3"], FEBRUARY: ["4"]}
    for strategy in (s for s in ALL_STRATEGIES if s.value != "by_parent"):
        for period, keys in wanted.items():
            plan = rig.plan("events", "t", period, strategy=strategy)
            assert rig.read(plan).keys == keys
            summary = rig.source.summarise(plan, upper=period.end)
            assert summary.total.count == len(keys)
            assert summary.max_event_time is not None
            assert summary.max_event_time < period.end
            assert summary.max_event_time.tzinfo is UTC
    found = rig.source.survey("events", "t", [*wanted])
    assert {p: e.rows for p, e in found.items()} == {p: len(k) for p, k in wanted.items()}
    assert all(estimate.exact for estimate in found.values())


@TIMES
def test_the_upper_bound_cuts_between_rows(database: str, kind: str) -> None:
    upper = utc(2025, 1, 10, 12, 0, 0, 500_000)
    execute(
        database,
        "SET timezone = 'UTC'",
        *table(
            kind,
            "1, '2025-01-10 12:00:00.499999', 'done'",
            "2, '2025-01-10 12:00:00.499999', 'running'",
            "3, '2025-01-10 12:00:00.5', 'done'",
            "4, '2025-01-10 12:00:00.500001', 'running'",
            "5, '2025-01-31 23:00:00', NULL",
            "6, '2025-01-02 23:00:00', NULL",
            "7, '2025-02-02', 'done'",
        ),
    )
    rig = Rig(database, SETTLED)
    for strategy in (s for s in ALL_STRATEGIES if s.value != "by_parent"):
        plan = rig.plan("events", "t", strategy=strategy)
        summary = rig.source.summarise(plan, upper=upper)
        (print_,) = rig.source.keys(plan, hours=[utc(2025, 1, 10, 12)], upper=upper)
        assert print_.key == "1"
        assert dict(summary.buckets) == {utc(2025, 1, 10, 12): Bucket(1, print_.high, print_.low)}
        assert summary.held_back == 2  # running and NULL, both old enough
        assert summary.pending == 3
        assert summary.max_event_time == utc(2025, 1, 10, 12, 0, 0, 499_999)
        cut = [TimeRange(JANUARY.start, upper)]
        assert rig.read(plan, ranges=cut).keys == ["1"]
        hours = [utc(2025, 1, 10, 12), utc(2025, 1, 10, 13)]
        minute = rig.source.summarise(plan, upper=upper, hours=hours, minutes=True)
        assert dict(minute.buckets) == dict(summary.buckets)
        minutes = [utc(2025, 1, 10, 12), utc(2025, 1, 10, 12, 1), utc(2025, 1, 10, 12, 3)]
        assert list(rig.source.keys(plan, hours=hours, upper=upper, minutes=minutes)) == [print_]
        assert not list(rig.source.keys(plan, hours=hours, upper=upper, minutes=minutes[1:]))
        whole = rig.source.summarise(plan, upper=JANUARY.end)
        assert (whole.total.count, whole.held_back, whole.pending) == (2, 4, 0)


@TIMES
def test_hours_are_those_of_utc_in_any_zone(database: str, kind: str) -> None:
    execute(
        database,
        "SET timezone = 'UTC'",
        *table(kind, "1, '2025-01-10 18:29:59', 'done'", "2, '2025-01-10 18:30:00', 'done'"),
        f"ALTER DATABASE {_name(database)} SET timezone = 'Asia/Kolkata'",
    )
    rig = Rig(database, SETTLED)
    plan = rig.plan("events", "t")
    assert list(rig.source.summarise(plan, upper=JANUARY.end).buckets) == [utc(2025, 1, 10, 18)]
    times = [d.source["at"] for d in rig.read(plan).documents]
    assert times == ["2025-01-10T18:29:59+00:00", "2025-01-10T18:30:00+00:00"]


def _name(dsn: str) -> str:
    return str(execute(dsn, "SELECT current_database()")[0][0])


def test_an_empty_unit_is_empty(database: str) -> None:
    execute(database, *table("timestamp", "1, '2025-01-10', 'running'"))
    rig = Rig(database, SETTLED)
    for period, held_back in ((JANUARY, 1), (FEBRUARY, 0)):
        plan = rig.plan("events", "t", period)
        summary = rig.source.summarise(plan, upper=period.end)
        assert summary.total == Bucket(0, 0, 0)
        assert not summary.buckets
        assert summary.held_back == held_back
        assert summary.max_event_time is None
        assert rig.read(plan).chunks == []
        assert list(rig.source.rows(plan, [])) == []
    assert rig.source.survey("events", "t", []) == {}
    found = rig.source.survey("events", "t", [JANUARY, FEBRUARY])
    assert [(p, e.rows, e.held_back) for p, e in found.items()] == [(JANUARY, 0, 1)]
    assert rig.source.survey("events", "nobody", [JANUARY]) == {}
    assert not rig.source.has_tenant("events", "nobody")


def test_the_survey_equals_counting_one_by_one(dify: SampleDatabase) -> None:
    rig = Rig(dify.dsn, *dify_pack.streams())
    months = [Period.from_label(f"2024-{n:02}") for n in (11, 12)]
    months += [Period.from_label(name) for name in dify.profile.month_names]
    for name, found in rig.found.items():
        for tenant in dify.profile.tenant_ids:
            estimates = rig.source.survey(name, tenant, months)
            counted = {
                label: (u.settled, u.unsettled) if found.shape.stream.settled else (u.rows, 0)
                for (table_, owner, label), u in dify.counts.units.items()
                if (table_, owner) == (name, tenant)
            }
            assert {p.label: (e.rows, e.held_back) for p, e in estimates.items()} == counted
            assert all(e.bytes > 0 for e in estimates.values() if e.rows)
            for period, estimate in estimates.items():
                plan = rig.plan(name, tenant, period)
                summary = rig.source.summarise(plan, upper=period.end)
                assert (summary.total.count, summary.held_back) == (
                    estimate.rows,
                    estimate.held_back,
                )


def test_the_survey_counts_days(new_dify: SampleDatabase) -> None:
    rig = Rig(new_dify.dsn, *dify_pack.streams())
    days = [day_of(JANUARY.start + timedelta(days=n)) for n in range(31)]
    found = rig.source.survey("workflow_runs", new_dify.tenant, days)
    times: list[tuple[datetime]] = execute(
        new_dify.dsn,
        (
            "SELECT created_at FROM workflow_runs WHERE tenant_id = %s AND status IN"
            " ('succeeded', 'failed', 'partial-succeeded', 'stopped')"
            " AND created_at < '2025-02-01'",
            (new_dify.tenant,),
        ),
    )
    counted = Counter(day_of(at.replace(tzinfo=UTC)) for (at,) in times)
    assert {p: e.rows for p, e in found.items() if e.rows} == counted
    assert len({month_of(p.start) for p in found}) == 1


def test_other_tenants_rows_are_never_counted(new_dify: SampleDatabase) -> None:
    rig = Rig(new_dify.dsn, *dify_pack.streams())
    first, second = new_dify.profile.tenant_ids
    for name in rig.found:
        plans = [rig.plan(name, tenant) for tenant in (first, second)]
        keys = [set(rig.read(plan).keys) for plan in plans]
        assert keys[0].isdisjoint(keys[1])
        other = next(iter(keys[1]))
        assert list(rig.source.rows(plans[0], [other])) == []
        assert [key for key, _ in rig.source.rows(plans[1], [other])] == [other]
        for document in rig.read(plans[0]).documents:
            assert document.source["tenant_id"] == first


def test_an_id_that_no_row_can_have_is_simply_not_found(new_dify: SampleDatabase) -> None:
    """The index may hold a stranger's document: the deep sample asks for its id."""
    rig = Rig(new_dify.dsn, *dify_pack.streams())
    plan = rig.plan("workflow_runs", new_dify.tenant)
    known = rig.read(plan).keys[0]
    strange = ["abc", "", "'; --", "nul\x00", "{" + known + "}", known.upper()]
    found = list(rig.source.rows(plan, [*strange, known]))
    assert [key for key, _ in found] == [known]


@pytest.mark.parametrize("kind", ["smallint", "integer", "bigint"])
def test_a_number_too_large_for_the_key_is_simply_not_found(database: str, kind: str) -> None:
    execute(
        database,
        f"CREATE TABLE events (id {kind} PRIMARY KEY, tenant text, at timestamp)",
        "INSERT INTO events VALUES (-7, 't', '2025-01-05')",
    )
    rig = Rig(database, own_stream())
    plan = rig.plan("events", "t")
    strange = ["32768", "9" * 19, "9" * 30, "1.5", "x", "", "--1", "\u0663", "-"]
    assert [key for key, _ in rig.source.rows(plan, [*strange, "-7"])] == ["-7"]
    assert rig.read(plan).keys == ["-7"]
