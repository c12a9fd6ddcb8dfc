"""What a run may be narrowed to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone
from typing import Any

import pytest

from airflow_provider_logmigrate.config.entities import Migration, Store, StoreType
from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.operators.options import RunOptions
from airflow_provider_logmigrate.streams import dify

NOW = datetime(2025, 6, 15, 12, tzinfo=timezone.utc)
MIGRATION = Migration(
    name="logs",
    source=Store("db", StoreType.POSTGRES, "c1"),
    target=Store("search", StoreType.OPENSEARCH, "c2"),
    tenants=("acme",),
    streams=dify.streams(),
    aliases={"runs": "workflow_runs", "app_logs": "workflow_app_logs"},
    first=date(2025, 1, 15),
    index_prefix="dify",
)


def options(**params: Any) -> RunOptions:
    return RunOptions.of(MIGRATION, params, now=NOW)


def names(chosen: RunOptions) -> list[str]:
    return [stream.name for stream in chosen.streams]


@pytest.mark.parametrize("wanted", [None, [], "", "all", ["all"]])
def test_no_streams_means_all(wanted: Any) -> None:
    assert names(options(streams=wanted)) == [stream.name for stream in dify.streams()]


@pytest.mark.parametrize(
    "wanted",
    ["runs", ["runs"], ["workflow_runs"], ["runs", "workflow_runs", "runs"]],
)
def test_short_names_and_repetitions(wanted: Any) -> None:
    assert names(options(streams=wanted)) == ["workflow_runs"]


def test_an_unknown_stream_is_told_with_the_known_ones() -> None:
    with pytest.raises(ConfigInvalid, match=r"unknown stream 'app logs'.* workflow_runs"):
        options(streams=["app logs"])


def test_without_a_range_it_is_the_migration_s_up_to_today() -> None:
    chosen = options()
    assert (chosen.first, chosen.last) == (date(2025, 1, 15), date(2025, 6, 15))
    assert [period.label for period in chosen.periods(MIGRATION)] == [
        "2025-01", "2025-02", "2025-03", "2025-04", "2025-05", "2025-06",
    ]  # fmt: skip
    closed = replace(MIGRATION, last=date(2025, 3, 31))
    ended = RunOptions.of(closed, {}, now=NOW)
    assert ended.last == date(2025, 3, 31)
    assert [period.label for period in ended.periods(closed)][-1] == "2025-03"


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        ("2025-01-31", "2025-01-31", ["2025-01"]),
        ("2025-01-31", "2025-02-01", ["2025-01", "2025-02"]),
        (date(2024, 12, 31), date(2025, 1, 1), ["2024-12", "2025-01"]),
        ("2024-02-29", "2024-02-29", ["2024-02"]),
    ],
)
def test_days_are_included(first: Any, last: Any, labels: list[str]) -> None:
    chosen = options(**{"from": first, "to": last})
    assert [period.label for period in chosen.periods(MIGRATION)] == labels


@pytest.mark.parametrize("day", ["2025-02-29", "2025-1-1", "yesterday", "2025-01-01T00:00", 7])
def test_what_is_no_day(day: Any) -> None:
    with pytest.raises(ConfigInvalid, match=r"isn't a day like 2025-01-31.*run parameter from"):
        options(**{"from": day})


def test_the_wrong_order() -> None:
    with pytest.raises(ConfigInvalid, match="from 2025-02-01 is after to 2025-01-31"):
        options(**{"from": "2025-02-01", "to": "2025-01-31"})


def test_what_the_plan_s_hash_covers() -> None:
    chosen = options(streams="runs", dry_run=True, to="2025-01-31")
    assert chosen.dry_run
    assert chosen.material() == {
        "streams": ["workflow_runs"],
        "from": "2025-01-15",
        "to": "2025-01-31",
    }
