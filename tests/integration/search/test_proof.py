"""Summaries, key listings and samples against brute force over what was written."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.fingerprint import Bucket
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import KeyPrint
from airflow_provider_logmigrate.stores.search.client import SearchClient
from airflow_provider_logmigrate.stores.search.keys import list_keys
from airflow_provider_logmigrate.stores.search.mapping import IndexOptions
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.unit.stores.search.building import START, STREAM, chunk, document, numbered, plan


def loaded(
    client: SearchClient,
    target: SearchTarget,
    tenant: str,
    documents: list[tuple[str, Any]],
    shards: int = 1,
) -> UnitPlan:
    unit = plan(client.engine, tenant, options=IndexOptions(shards=shards))
    target.prepare(unit)
    assert target.write(unit, chunk(documents), stop=Stop()).acknowledged == len(documents)
    target.finish(unit)
    return unit


def brute_buckets(documents: list[tuple[str, Any]]) -> dict[datetime, Bucket]:
    found: dict[datetime, Bucket] = defaultdict(lambda: Bucket(0, 0, 0))
    for _, source in documents:
        print_ = source["logmigrate"]
        found[_hour(datetime.fromisoformat(source["created_at"]))] += Bucket(
            1, print_["high"], print_["low"]
        )
    return dict(found)


def test_summary(client: SearchClient, target: SearchTarget, tenant: str) -> None:
    documents = numbered(3_000)
    edge = document(0, created_at="2025-01-31T23:59:59.999999+00:00", id="edge")
    documents.append(("edge", edge))
    unit = loaded(client, target, tenant, documents)
    summary = target.summarise(unit)
    assert summary.buckets == brute_buckets(documents)
    assert summary.outside == 0
    assert summary.max_event_time == datetime.fromisoformat("2025-01-31T23:59:59.999000+00:00")


def test_minutes_of_some_hours(client: SearchClient, target: SearchTarget, tenant: str) -> None:
    moments = [START + timedelta(minutes=7 * n, milliseconds=n) for n in range(60)]
    documents: list[tuple[str, Any]] = [
        (f"key-{n:02d}", document(n, id=f"key-{n:02d}", created_at=moment.isoformat()))
        for n, moment in enumerate(moments)
    ]
    unit = loaded(client, target, tenant, documents, shards=2)
    hours = [START, START + timedelta(hours=1), START + timedelta(hours=4)]
    within = [d for d, at in zip(documents, moments, strict=True) if _hour(at) in hours]

    found = target.minutes(unit, hours=hours)

    assert len(found) == len(within) > 20
    for (_, source), at in zip(documents, moments, strict=True):
        minute = at.replace(second=0, microsecond=0)
        print_ = source["logmigrate"]
        expected = Bucket(1, print_["high"], print_["low"]) if _hour(at) in hours else None
        assert found.get(minute) == expected
    some = [moments[0], moments[1], moments[2], moments[59]]
    chosen = [at.replace(second=0, microsecond=0) for at in some]
    listed = target.keys(unit, hours=[_hour(at) for at in some], minutes=chosen)
    assert [p.key for p in listed] == ["key-00", "key-01", "key-02", "key-59"]


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def test_an_empty_index(client: SearchClient, target: SearchTarget, tenant: str) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    target.finish(unit)
    summary = target.summarise(unit)
    assert (summary.buckets, summary.outside, summary.max_event_time) == ({}, 0, None)
    assert list(target.keys(unit, hours=[START])) == []
    assert target.sample(unit, size=10, seed=1) == []


def test_writes_count_before_the_engine_s_own_refresh(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    target.write(unit, chunk(numbered(5)), stop=Stop())
    assert target.summarise(unit).total.count == 5


def test_documents_without_a_usable_event_time_are_outside(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    odd: list[tuple[str, Any]] = [
        ("a", document(1, created_at="infinity")),
        ("b", document(1, created_at=None)),
    ]
    summary = target.summarise(loaded(client, target, tenant, numbered(4) + odd))
    assert summary.outside == 2
    assert summary.total.count == 4


@pytest.mark.parametrize("stored", [None, {}, {"high": 1}, {"low": 1}])
def test_a_document_without_a_whole_fingerprint_always_differs(
    client: SearchClient, target: SearchTarget, tenant: str, stored: Any
) -> None:
    documents = [*numbered(3), ("key-000003", document(3, logmigrate=stored))]
    unit = loaded(client, target, tenant, documents)
    assert target.summarise(unit).buckets[START] == Bucket(4, -1, -1)
    *_, last = target.keys(unit, hours=[START])
    assert last.key == "key-000003"
    assert -1 in (last.high, last.low)


@pytest.mark.parametrize(("shards", "page"), [(1, 5000), (1, 7), (3, 7), (3, 1)])
def test_keys_against_brute_force(
    client: SearchClient, target: SearchTarget, tenant: str, shards: int, page: int
) -> None:
    minute = (START + timedelta(minutes=5)).isoformat()
    keys = [f"{'aZ_ä€0'[n % 6]}{n * 7919 % 1000:03d}" for n in range(60)]
    documents: list[tuple[str, Any]] = [
        (key, document(n, id=key, created_at=minute)) for n, key in enumerate(keys)
    ]
    copies: list[tuple[str, Any]] = [
        (f"copy-{n}", document(n, id=keys[0], created_at=minute)) for n in range(5)
    ]
    nameless: list[tuple[str, Any]] = []
    for n in range(3):
        source = document(n, created_at=minute)
        del source["id"]
        nameless.append((f"nameless-{n}", source))
    other_hours: list[tuple[str, Any]] = [
        (f"other-{n}", document(n, id=f"other-{n}", created_at=moment.isoformat()))
        for n, moment in enumerate((START - timedelta(milliseconds=1), START + timedelta(hours=1)))
    ]
    everything = documents + copies + nameless
    unit = loaded(client, target, tenant, everything + other_hours, shards)
    found = list(list_keys(client, unit.index, STREAM, hours=[START], page=page))
    expected = [
        KeyPrint(key, source["logmigrate"]["high"], source["logmigrate"]["low"])
        for key, source in sorted(everything, key=lambda pair: pair[0].encode())
    ]
    assert sorted(found, key=lambda p: p.key.encode()) == expected
    # A document under another id is listed at the latest where its key field stands, so only
    # those may come late; all others are in order.
    regular = [p for p in found if p.key in keys]
    assert regular == [p for p in expected if p.key in keys]


def test_a_listing_that_is_not_read_to_its_end_leaves_nothing_open(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = loaded(client, target, tenant, numbered(8))
    listing = list_keys(client, unit.index, STREAM, hours=[START], page=2)
    assert next(listing).key == "key-000000"
    listing.close()
    stats = client.request("GET", f"/{unit.index}/_stats/search").data
    assert stats["_all"]["primaries"]["search"]["open_contexts"] == 0


def test_sample(client: SearchClient, target: SearchTarget, tenant: str) -> None:
    documents = numbered(400)
    unit = loaded(client, target, tenant, documents, shards=1)
    one, again = (target.sample(unit, size=120, seed=7) for _ in range(2))
    other = target.sample(unit, size=120, seed=8)
    assert one == again
    assert len({key for key, _ in one}) == 120
    assert {key for key, _ in one} != {key for key, _ in other}
    written = dict(documents)
    for key, source in one:
        assert {**source, "price": 0.1} == written[key]
        assert str(source["price"]) == "0.1"
    assert len(target.sample(unit, size=1_000, seed=7)) == 400


def test_get_keeps_the_order_and_leaves_out_what_is_not_there(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = loaded(client, target, tenant, numbered(120))
    wanted = [f"key-{n:06d}" for n in reversed(range(60, 140))]
    assert [key for key, _ in target.get(unit, wanted)] == [
        f"key-{n:06d}" for n in reversed(range(60, 120))
    ]
