"""Many tenants surveyed at once: no row is lost, whoever they belong to and however it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_logmigrate.core.plan import Estimate
from airflow_provider_logmigrate.core.stream import SettledBy
from airflow_provider_logmigrate.core.survey import Counting, Survey
from airflow_provider_logmigrate.core.unit import Period
from airflow_provider_logmigrate.streams import dify as dify_pack
from tests.integration.postgres.conftest import SampleDatabase
from tests.integration.postgres.rig import FEBRUARY, JANUARY, Rig, execute, own_stream

MARCH = Period.from_label("2025-03")
MONTHS = [JANUARY, FEBRUARY, MARCH]
STREAM = own_stream(settled=SettledBy("status", ("done",)))
HOSTILE = [
    "*",
    "a,b",
    "{x}",
    "it's",
    '"',
    "\\",
    "NULL",
    "null",
    "",
    " ",
    "%",
    "'; DROP TABLE x; --",
]


def events(kind: str = "text", *, index: bool = True) -> list[str]:
    made = [f"CREATE TABLE events (id int PRIMARY KEY, tenant {kind}, at timestamptz, status text)"]
    return [*made, "CREATE INDEX ON events (tenant, at, id)"] if index else made


def rows(tenant: str, period: Period, count: int, *, status: str = "done") -> tuple[str, list[str]]:
    return (
        "INSERT INTO events SELECT coalesce((SELECT max(id) FROM events), 0) + n, %s,"
        f" %s::timestamptz + n * interval '1 minute', %s FROM generate_series(1, {count}) AS n",
        [tenant, period.start.isoformat(), status],
    )


def sizes(found: Mapping[Period, Estimate]) -> dict[str, tuple[int, int]]:
    return {p.label: (e.rows, e.held_back) for p, e in found.items()}


def survey(rig: Rig, tenants: list[str], counting: Counting) -> Survey:
    from airflow_provider_logmigrate.stores.postgres.source import PostgresSource

    source = PostgresSource(rig.sessions, rig.found, counting=counting)
    return source.survey_all("events", tenants, MONTHS)


def test_many_at_once_equal_one_by_one(dify: SampleDatabase) -> None:
    rig = Rig(dify.dsn, *dify_pack.streams())
    months = [Period.from_label(name) for name in dify.profile.month_names]
    tenants = [*dify.profile.tenant_ids, "no uuid", "00000000-0000-0000-0000-000000000000"]
    for name in rig.found:
        found = rig.source.survey_all(name, tenants, months)
        assert set(found.by_tenant) == set(dify.profile.tenant_ids)
        for tenant in dify.profile.tenant_ids:
            assert found.of(tenant) == rig.source.survey(name, tenant, months)
            assert list(found.of(tenant)) == sorted(found.of(tenant))
        assert found.note == ""


@pytest.mark.parametrize("counting", [Counting.EXACT, Counting.ESTIMATE])
def test_a_name_is_data(database: str, counting: Counting) -> None:
    execute(
        database,
        *events(),
        *(rows(tenant, JANUARY, number) for number, tenant in enumerate(HOSTILE, 1)),
    )
    found = survey(Rig(database, STREAM), [*HOSTILE, "nul\x00", "half \ud800", "x"], counting)
    assert {tenant: list(months) for tenant, months in found.by_tenant.items()} == {
        tenant: [JANUARY] for tenant in HOSTILE
    }
    if counting is Counting.EXACT:
        counted = {tenant: months[JANUARY].rows for tenant, months in found.by_tenant.items()}
        assert counted == {tenant: number for number, tenant in enumerate(HOSTILE, 1)}


def test_two_spellings_of_one_tenant_both_have_its_rows(database: str) -> None:
    execute(database, *events("int"), rows("7", JANUARY, 3))
    found = survey(Rig(database, STREAM), ["7", "007", "8"], Counting.EXACT)
    assert {tenant: sizes(months) for tenant, months in found.by_tenant.items()} == {
        "7": {"2025-01": (3, 0)},
        "007": {"2025-01": (3, 0)},
    }


def test_an_estimate_loses_no_period(database: str) -> None:
    """PostgreSQL's statistics know neither the lone row nor the tenant that came after them."""
    execute(
        database,
        *events(),
        rows("acme", JANUARY, 5_000),
        "ANALYZE events",
        rows("acme", MARCH, 1),
        rows("late", FEBRUARY, 1, status="running"),
        rows("other", FEBRUARY, 10),
    )
    rig = Rig(database, STREAM)
    found = survey(rig, ["acme", "late", "nobody"], Counting.ESTIMATE)
    assert {tenant: list(months) for tenant, months in found.by_tenant.items()} == {
        "acme": [JANUARY, MARCH],
        "late": [FEBRUARY],
    }
    estimates = [e for months in found.by_tenant.values() for e in months.values()]
    assert not any(e.exact for e in estimates)
    assert all(e.rows >= 1 for e in estimates)
    assert 2_500 < found.of("acme")[JANUARY].rows < 10_000
    assert found.note == "events: row numbers are the source's estimates, as configured"


def test_without_an_index_rows_are_counted_whatever_is_asked(database: str) -> None:
    execute(
        database,
        *events(index=False),
        rows("acme", JANUARY, 20),
        rows("acme", JANUARY, 2, status="running"),
    )
    found = survey(Rig(database, STREAM), ["acme"], Counting.ESTIMATE)
    assert sizes(found.of("acme")) == {"2025-01": (20, 2)}
    assert found.of("acme")[JANUARY].exact
    assert "rows are counted although estimates were asked for" in found.note


def test_a_table_is_counted_unless_its_statistics_promise_too_much(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_logmigrate.core import survey as core

    execute(database, *events(), rows("acme", JANUARY, 1_000), "ANALYZE events")
    rig = Rig(database, STREAM)
    few = survey(rig, ["acme"], Counting.AUTO)
    assert few.of("acme")[JANUARY].exact
    assert few.note == ""
    monkeypatch.setattr(core, "EXACT_ROWS", 100)
    many = survey(rig, ["acme"], Counting.AUTO)
    assert not many.of("acme")[JANUARY].exact
    assert "about 1,000 rows would take minutes to count" in many.note
    # Nobody to survey, nothing to ask.
    assert survey(rig, [], Counting.AUTO) == Survey({})


def test_a_partitioned_table_is_one_table(database: str) -> None:
    execute(
        database,
        "CREATE TABLE events (id int, tenant text, at timestamptz, status text)"
        " PARTITION BY RANGE (at)",
        "CREATE TABLE e1 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2025-02-15')",
        "CREATE TABLE e2 PARTITION OF events DEFAULT",
        "CREATE INDEX ON events (tenant, at, id)",
        rows("acme", JANUARY, 10),
        rows("acme", MARCH, 4),
    )
    rig = Rig(database, replace(STREAM, settled=None))
    exact = survey(rig, ["acme"], Counting.EXACT)
    assert sizes(exact.of("acme")) == {"2025-01": (10, 0), "2025-03": (4, 0)}
    estimated = survey(rig, ["acme"], Counting.ESTIMATE)
    assert list(estimated.of("acme")) == [JANUARY, MARCH]


def test_the_youngest_settled_row_is_known(database: str) -> None:
    execute(
        database,
        *events(),
        rows("acme", JANUARY, 3),
        rows("acme", JANUARY, 9, status="running"),
        rows("acme", FEBRUARY, 2, status="running"),
    )
    found = survey(Rig(database, STREAM), ["acme"], Counting.EXACT).of("acme")
    assert found[JANUARY].newest == JANUARY.start + timedelta(minutes=3)
    assert found[FEBRUARY].newest is None
    guessed = survey(Rig(database, STREAM), ["acme"], Counting.ESTIMATE).of("acme")
    assert {estimate.newest for estimate in guessed.values()} == {None}
