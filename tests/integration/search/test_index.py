from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import IndexConflict, TargetRefused
from airflow_provider_logmigrate.core.plan import Estimate
from airflow_provider_logmigrate.stores.search.client import (
    Endpoint,
    Engine,
    SearchClient,
    connect,
)
from airflow_provider_logmigrate.stores.search.create import (
    SMALL_BYTES,
    SMALL_ROWS,
    serves_from_the_start,
)
from airflow_provider_logmigrate.stores.search.index import (
    IndexState,
    IndexVersion,
    put_settings,
    read,
    versions,
)
from airflow_provider_logmigrate.stores.search.mapping import IndexOptions
from airflow_provider_logmigrate.stores.search.target import SearchTarget
from tests.integration.search.conftest import target_of
from tests.integration.search.gateway import Answer, Gateway, running
from tests.unit.stores.search.building import chunk, document, numbered, plan

if TYPE_CHECKING:
    from devstack.engine import SearchEngine

SERVING = IndexOptions(replicas=1, refresh_interval="7s")


def state(client: SearchClient, index: str) -> IndexState:
    found = read(client, index)
    assert found is not None
    return found


def load_settings(client: SearchClient, index: str) -> tuple[str | None, str | None]:
    settings = state(client, index).settings
    return settings.get("index.refresh_interval"), settings.get("index.number_of_replicas")


def test_load_settings_and_back(client: SearchClient, target: SearchTarget, tenant: str) -> None:
    unit = plan(client.engine, tenant, options=SERVING)
    target.prepare(unit)
    assert load_settings(client, unit.index) == ("-1", "0")
    target.write(unit, chunk(numbered(10)), stop=Stop())
    target.finish(unit)
    assert load_settings(client, unit.index) == ("7s", "1")
    target.finish(unit)
    assert load_settings(client, unit.index) == ("7s", "1")


def test_another_process_finishes_what_a_killed_one_prepared(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant, options=SERVING)
    target.prepare(unit)
    target_of(client).finish(unit)
    assert load_settings(client, unit.index) == ("7s", "1")


def test_a_second_attempt_adopts_the_index_and_its_documents(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant, options=SERVING)
    target.prepare(unit)
    target.write(unit, chunk(numbered(10)), stop=Stop())
    target.finish(unit)
    target_of(client).prepare(unit)
    assert load_settings(client, unit.index) == ("-1", "0")
    assert target.summarise(unit).total.count == 10


def test_an_index_that_serves_readers_keeps_its_settings_during_a_repair(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant, options=SERVING)
    target.prepare(unit)
    target.finish(unit)
    client.request("PUT", f"/{unit.index}/_alias/{unit.alias}")
    target.prepare(unit)
    assert load_settings(client, unit.index) == ("7s", "1")


def test_a_small_unit_is_loaded_with_serving_settings(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    newest = datetime(2025, 1, 5, 0, 14, 0, 999, tzinfo=timezone.utc)
    small = Estimate(SMALL_ROWS, 1, exact=False, newest=newest)
    unit = plan(client.engine, tenant, options=SERVING, estimate=small)
    target.prepare(unit)
    assert load_settings(client, unit.index) == ("7s", "1")
    target.prepare(unit)
    assert load_settings(client, unit.index) == ("7s", "1")
    target.write(unit, chunk(numbered(3)), stop=Stop())
    target.finish(unit)
    meta = state(client, unit.index).meta
    assert meta is not None
    assert meta["max_event_time"] == "2025-01-05T00:14:00+00:00"
    target.write(unit, chunk(numbered(5)), stop=Stop())
    target.finish(unit)
    meta = state(client, unit.index).meta
    assert meta is not None
    assert meta["max_event_time"] == "2025-01-05T00:28:00+00:00"
    left = replace(unit, estimate=Estimate(SMALL_ROWS + 1, 1, exact=False))
    target.prepare(left)
    assert load_settings(client, unit.index) == ("-1", "0")
    target.finish(unit)
    assert load_settings(client, unit.index) == ("7s", "1")


@pytest.mark.parametrize(
    ("rows", "size", "direct"),
    [(1, SMALL_BYTES, True), (1, SMALL_BYTES + 1, False), (SMALL_ROWS + 1, 1, False)],
)
def test_which_units_are_small(tenant: str, rows: int, size: int, direct: bool) -> None:
    unit = plan(Engine.OPENSEARCH, tenant, estimate=Estimate(rows, size, exact=True))
    assert serves_from_the_start(unit) is direct
    assert not serves_from_the_start(replace(unit, estimate=None))


def test_few_calls_for_a_small_unit(
    search_engine: SearchEngine, client: SearchClient, tenant: str
) -> None:
    """Each change of settings or mapping is a new cluster state, some 30 ms."""
    newest = datetime(2025, 1, 5, 0, 14, tzinfo=timezone.utc)
    unit = plan(client.engine, tenant, estimate=Estimate(3, 1, exact=True, newest=newest))
    with running(Gateway(search_engine.url)) as gateway:
        through = connect(Endpoint(engine=client.engine, hosts=(gateway.url,)))
        target = target_of(through)
        target.prepare(unit)
        target.write(unit, chunk(numbered(3)), stop=Stop())
        target.finish(unit)
        through.close()
        calls = [path.partition("?")[0].rpartition("/")[2] for path in gateway.paths]
    index = unit.index
    assert calls == ["", index, index, "_bulk", index, "_refresh", "_search"]
    age = state(client, index).settings.get("index.lifecycle.origination_date")
    assert age == ("1736036040000" if client.engine is Engine.ELASTICSEARCH else None)


def test_a_load_is_refreshed_once_shortly_before_its_end(
    client: SearchClient, search_engine: SearchEngine, tenant: str
) -> None:
    expected = Estimate(100, SMALL_BYTES + 1, exact=True)
    unit = plan(client.engine, tenant, options=SERVING, estimate=expected)

    def visible() -> int:
        return int(client.request("GET", f"/{unit.index}/_count").data["count"])

    with running(Gateway(search_engine.url)) as gateway:
        through = connect(Endpoint(engine=client.engine, hosts=(gateway.url,)))
        target = target_of(through)
        target.prepare(unit)
        seen = []
        for documents in (numbered(84), numbered(86)[84:], numbered(100)[86:]):
            target.write(unit, chunk(documents), stop=Stop())
            seen.append(visible())
        assert seen == [0, 86, 86]
        assert load_settings(client, unit.index) == ("-1", "0")
        target.finish(unit)
        through.close()
        assert sum("_refresh" in path for path in gateway.paths) == 2
    assert visible() == 100
    assert load_settings(client, unit.index) == ("7s", "1")


def test_an_early_refresh_that_fails_costs_nothing(
    client: SearchClient, search_engine: SearchEngine, tenant: str
) -> None:
    expected = Estimate(3, SMALL_BYTES + 1, exact=True)
    unit = plan(client.engine, tenant, options=SERVING, estimate=expected)
    refused = iter([(429, "application/json", b'{"error":{"type":"busy"},"status":429}')])

    def once(path: str, _: bytes) -> Answer | None:
        return next(refused, None) if "_refresh" in path else None

    with running(Gateway(search_engine.url, intercept=once)) as gateway:
        through = connect(Endpoint(engine=client.engine, hosts=(gateway.url,)))
        target = target_of(through)
        target.prepare(unit)
        assert target.write(unit, chunk(numbered(3)), stop=Stop()).acknowledged == 3
        assert next(refused, None) is None, "it was tried"
        assert target.summarise(unit).total.count == 3
        target.finish(unit)
        through.close()


def test_two_attempts_at_once(client: SearchClient, tenant: str) -> None:
    unit = plan(client.engine, tenant)
    with ThreadPoolExecutor(6) as pool:
        attempts = [pool.submit(target_of(client).prepare, unit) for _ in range(6)]
    for attempt in attempts:
        attempt.result()
    assert versions(client, [unit.alias]) == {
        unit.alias: [IndexVersion(1, unit.index, unit.key, "d1", "test")]
    }


def test_the_index_says_whose_it_is_and_how_old_its_data_are(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant, options=SERVING)
    target.prepare(unit)
    target.write(unit, chunk(numbered(3)), stop=Stop())
    target.finish(unit)
    found = state(client, unit.index)
    assert found.meta == {
        "migration": "test",
        "plan_hash": "abc",
        "unit": unit.key,
        "definition": "d1",
        "serving": {"refresh_interval": "7s", "number_of_replicas": 1},
        "max_event_time": "2025-01-05T00:14:00+00:00",
    }
    age = found.settings.get("index.lifecycle.origination_date")
    assert age == ("1736036040000" if client.engine is Engine.ELASTICSEARCH else None)


@pytest.mark.parametrize("taken_by", ["stranger", "alias", "other unit", "other definition"])
def test_a_taken_name_is_a_conflict_and_nothing_is_touched(
    client: SearchClient, target: SearchTarget, tenant: str, taken_by: str
) -> None:
    unit = plan(client.engine, tenant)
    holder = unit.index
    if taken_by == "stranger":
        client.request("PUT", f"/{unit.index}", body={})
    elif taken_by == "alias":
        holder = unit.index + "0"
        client.request("PUT", f"/{holder}", body={"aliases": {unit.index: {}}})
    elif taken_by == "other unit":
        target.prepare(replace(plan(client.engine, "somebody"), index=unit.index))
    else:
        target.prepare(replace(unit, definition="d0"))
    before = state(client, holder)
    with pytest.raises(IndexConflict) as caught:
        target.prepare(unit)
    assert unit.index in str(caught.value)
    with pytest.raises(IndexConflict):
        target.finish(unit)
    assert state(client, holder) == before


def test_finish_without_an_index_does_nothing(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    target.finish(unit)
    assert read(client, unit.index) is None


def test_an_index_that_a_writer_made_again_is_not_taken_for_ours(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    client.request("DELETE", f"/{unit.index}")
    target.write(unit, chunk(numbered(3)), stop=Stop())  # engines create indices by default
    with pytest.raises(IndexConflict, match="wasn't made by this provider"):
        target.finish(unit)


def test_settings_the_engine_refuses(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant, options=IndexOptions(codec="no-such-codec"))
    with pytest.raises(TargetRefused, match="no-such-codec"):
        target.prepare(unit)


def test_versions(client: SearchClient, target: SearchTarget, tenant: str) -> None:
    for version in (1, 2, 10):
        target.prepare(plan(client.engine, tenant, version=version))
    unit = plan(client.engine, tenant)
    client.request("PUT", f"/{unit.alias}-v3", body={})
    client.request("PUT", f"/{unit.alias}-v2-copy", body={})
    client.request("PUT", f"/{unit.alias}-v02", body={})
    found = versions(client, [unit.alias, f"{unit.alias}9", unit.tenant_alias])
    assert [(v.number, v.owner, v.definition) for v in found.pop(unit.alias)] == [
        (1, unit.key, "d1"),
        (2, unit.key, "d1"),
        (3, None, None),
        (10, unit.key, "d1"),
    ]
    assert found == {f"{unit.alias}9": [], unit.tenant_alias: []}
    assert versions(client, []) == {}


def test_versions_of_more_names_than_fit_into_one_request(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    units = [plan(client.engine, f"{tenant}-{n}") for n in (0, 39)]
    for unit in units:
        target.prepare(unit)
    client.request("PUT", f"/{units[0].index}/_alias/{units[1].alias}-v7")
    names = [plan(client.engine, f"{tenant}-{n}").alias + "x" * 80 * (n % 3) for n in range(40)]
    found = versions(client, names)
    assert set(found) == set(names)
    assert {name: [v.index for v in held] for name, held in found.items() if held} == {
        unit.alias: [unit.index] for unit in units
    }


def test_a_closed_version_still_counts(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    client.request("POST", f"/{unit.index}/_close")
    assert [v.number for v in versions(client, [unit.alias])[unit.alias]] == [1]
    with pytest.raises(TargetRefused):
        target.write(unit, chunk(numbered(1)), stop=Stop())


def test_hostile_tenants_get_indices_of_their_own(client: SearchClient, tenant: str) -> None:
    target = target_of(client)
    units = [plan(client.engine, tenant + odd) for odd in ("*", ",x", "..", "ÄÖ", "/", "%41", "")]
    for number, unit in enumerate(units):
        target.prepare(unit)
        target.write(unit, chunk([("k", document(number))]), stop=Stop())
        target.finish(unit)
    assert len({unit.index for unit in units}) == len(units)
    for number, unit in enumerate(units):
        ((_, found),) = target.get(unit, ["k"])
        assert found["steps"] == number


def test_replicas_a_user_changed_by_hand_are_put_right_again(
    client: SearchClient, target: SearchTarget, tenant: str
) -> None:
    unit = plan(client.engine, tenant, options=SERVING)
    target.prepare(unit)
    put_settings(client, unit.index, {"refresh_interval": "99s"})
    target.finish(unit)
    assert load_settings(client, unit.index) == ("7s", "1")
