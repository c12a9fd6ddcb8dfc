"""Overload, oversize and a crash of a real engine while documents are written to it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.ports import WriteResult
from tests.integration.search.conftest import client_of, target_of
from tests.unit.stores.search.building import chunk, document, numbered, plan

if TYPE_CHECKING:
    from devstack.engine import SearchEngine


def test_overload_is_waited_out(small_engine: SearchEngine, tenant: str) -> None:
    client = client_of(small_engine)
    target = target_of(client, Backoff(attempts=30, first=0.05, cap=0.5))
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    chunks = [chunk(numbered(300, first=300 * n)) for n in range(20)]
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda c: target.write(unit, c, stop=Stop()), chunks))
    target.finish(unit)
    assert sum(r.acknowledged for r in results) == 6_000
    assert not any(r.rejected for r in results)
    assert any("rejected_execution_exception (HTTP 429)" in r.note for r in results)
    assert target.summarise(unit).total.count == 6_000


def test_a_bulk_above_the_engine_s_limit_is_split(small_engine: SearchEngine, tenant: str) -> None:
    client = client_of(small_engine)
    target = target_of(client)
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    documents = [(d["id"], d) for d in (document(n, inputs="x" * 100_000) for n in range(40))]
    huge = document(40, inputs="y" * 1_500_000)
    result = target.write(unit, chunk([*documents, (huge["id"], huge)]), stop=Stop())
    target.finish(unit)
    assert result.acknowledged == 40
    assert [(r.key, r.status) for r in result.rejected] == [(huge["id"], 413)]
    assert target.summarise(unit).total.count == 40


def test_a_killed_engine_loses_nothing_and_doubles_nothing(
    small_engine: SearchEngine, tenant: str
) -> None:
    client = client_of(small_engine)
    target = target_of(client, Backoff(attempts=60, first=0.2, cap=1.0))
    unit = plan(client.engine, tenant)
    target.prepare(unit)
    chunks = [chunk(numbered(200, first=200 * n)) for n in range(30)]
    some = threading.Semaphore(0)

    def send(part: Chunk) -> WriteResult:
        result = target.write(unit, part, stop=Stop())
        some.release()
        return result

    with ThreadPoolExecutor(2) as pool:
        written = [pool.submit(send, part) for part in chunks]
        for _ in range(6):
            assert some.acquire(timeout=60)
        small_engine.process.kill()
        small_engine.start()
        results = [future.result() for future in written]
    target.finish(unit)
    assert sum(r.acknowledged for r in results) == 6_000
    assert any(r.note for r in results)
    summary = target.summarise(unit)
    assert summary.total.count == 6_000
    assert summary.total.low == sum(range(6_000))
