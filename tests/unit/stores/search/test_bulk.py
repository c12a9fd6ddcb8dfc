"""Framing, and the faults that a real engine can't be made to show."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    Interrupted,
    TargetBlocked,
    TargetRefused,
    TargetUnavailable,
)
from airflow_provider_logmigrate.stores.search.bulk import BulkWriter, prefix
from airflow_provider_logmigrate.stores.search.client import Endpoint, Engine, SearchClient
from airflow_provider_logmigrate.stores.search.faults import Broken, Unanswered
from tests.unit.stores.search.building import chunk, document, framed, numbered

QUICK = Backoff(attempts=4, first=0.001, cap=0.002)


class Scripted:
    """An engine that answers each bulk by a function of (call number, keys)."""

    def __init__(self, answer: Callable[[int, list[str]], tuple[int, Any]]) -> None:
        self.answer = answer
        self.sent: list[list[str]] = []

    def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        timeout: float | None,
        parse: object,
    ) -> tuple[int, Any]:
        assert body is not None
        lines = body.splitlines()
        keys = [json.loads(line)["index"]["_id"] for line in lines[::2]]
        self.sent.append(keys)
        return self.answer(len(self.sent), keys)

    def close(self) -> None:
        pass


def item(status: int, kind: str = "") -> dict[str, Any]:
    error = {"error": {"type": kind, "reason": f"{kind} it is"}} if kind else {}
    return {"index": {"status": status, **error}}


def everything(keys: list[str]) -> tuple[int, Any]:
    return 200, {"errors": False, "items": [item(201) for _ in keys]}


def writer(engine: Scripted, backoff: Backoff = QUICK) -> BulkWriter:
    endpoint = Endpoint(engine=Engine.OPENSEARCH, hosts=("http://h:9200",))
    client = SearchClient(endpoint, wire=engine)
    return BulkWriter(client, rng=random.Random(1), backoff=backoff)


@pytest.mark.parametrize("key", ["a", 'q"uo\\te', "100%", "%b%s%d", "new\nline", "ü€\U0001f600"])
def test_a_key_can_not_leave_its_place(key: str) -> None:
    lines = framed(key, b'{"a":1}').split(b"\n")
    assert json.loads(lines[0]) == {
        "index": {"_id": key, "version": 1_736_000_000_000_000, "version_type": "external_gte"}
    }
    assert lines[1:] == [b'{"a":1}', b""]


def test_the_framing_takes_one_key() -> None:
    assert prefix(5) % b'"k"' == (
        b'{"index":{"_id":"k","version":5,"version_type":"external_gte"}}\n'
    )


@pytest.mark.parametrize(
    "garbage",
    [
        "<html>ok</html>",
        None,
        {"errors": False},
        {"errors": False, "items": [item(201)]},
        {"took": 5, "items": [None, None, None]},
    ],
)
def test_an_answer_that_accounts_for_too_little_is_sent_again(garbage: Any) -> None:
    engine = Scripted(lambda call, keys: (200, garbage) if call == 1 else everything(keys))
    result = writer(engine).write("i", chunk(numbered(3)), Stop())
    assert (result.acknowledged, result.rejected) == (3, ())
    assert engine.sent[0] == engine.sent[1]
    assert "retried once" in result.note
    assert "answer incomplete" in result.note


def test_only_what_was_refused_for_now_is_sent_again() -> None:
    def answer(call: int, keys: list[str]) -> tuple[int, Any]:
        if call > 1:
            return everything(keys)
        marks = {
            "key-000001": item(429, "es_rejected_execution_exception"),
            "key-000002": item(409, "version_conflict_engine_exception"),
            "key-000003": item(400, "mapper_parsing_exception"),
        }
        return 200, {"errors": True, "items": [marks.get(k, item(200)) for k in keys]}

    engine = Scripted(answer)
    result = writer(engine).write("i", chunk(numbered(5)), Stop())
    assert engine.sent[1:] == [["key-000001"]]
    assert result.acknowledged == 4
    assert result.superseded == 1
    assert [(r.key, r.status, r.kind) for r in result.rejected] == [
        ("key-000003", 400, "mapper_parsing_exception")
    ]
    assert json.loads(result.rejected[0].document) == document(3)
    assert "es_rejected_execution_exception (HTTP 429)" in result.note


def test_pressure_without_end_is_given_up() -> None:
    rejected = item(429, "rejected_execution_exception")
    engine = Scripted(lambda _, keys: (200, {"errors": True, "items": [rejected] * len(keys)}))
    with pytest.raises(TargetUnavailable, match="2 documents were refused for now"):
        writer(engine).write("i", chunk(numbered(2)), Stop())
    assert len(engine.sent) == 1 + QUICK.attempts


def test_a_lost_connection_is_sent_again_whole_and_bounded() -> None:
    def lost(call: int, keys: list[str]) -> tuple[int, Any]:
        if call < 3:
            raise Unanswered(Broken.LOST, "reset")
        return everything(keys)

    engine = Scripted(lost)
    assert writer(engine).write("i", chunk(numbered(2)), Stop()).acknowledged == 2
    assert engine.sent == [["key-000000", "key-000001"]] * 3

    never = Scripted(lambda call, keys: lost(1, keys))
    with pytest.raises(TargetUnavailable, match="broke off"):
        writer(never).write("i", chunk(numbered(2)), Stop())
    assert len(never.sent) == 1 + QUICK.attempts


def test_too_big_a_bulk_is_split_until_one_document_is_alone() -> None:
    def limited(_: int, keys: list[str]) -> tuple[int, Any]:
        if len(keys) > 2 or "key-000003" in keys:
            return 413, "Request Entity Too Large"
        return everything(keys)

    result = writer(Scripted(limited)).write("i", chunk(numbered(9)), Stop())
    assert result.acknowledged == 8
    assert [(r.key, r.status, r.kind) for r in result.rejected] == [
        ("key-000003", 413, "request_too_large")
    ]
    assert json.loads(result.rejected[0].document) == document(3)


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (429, "cluster_block_exception", TargetBlocked),
        (403, "cluster_block_exception", TargetBlocked),
        (404, "index_not_found_exception", TargetRefused),
        (403, "security_exception", TargetRefused),
    ],
)
def test_what_concerns_every_document_stops_at_once(
    status: int, kind: str, expected: type[Exception]
) -> None:
    engine = Scripted(lambda _, keys: (200, {"errors": True, "items": [item(status, kind)] * 2}))
    with pytest.raises(expected):
        writer(engine).write("i", chunk(numbered(2)), Stop())
    assert len(engine.sent) == 1


def test_a_back_off_ends_when_the_task_is_stopped() -> None:
    stop = Stop()
    engine = Scripted(lambda _, keys: (503, "down"))
    threading.Timer(0.05, stop.set, args=["SIGTERM"]).start()
    with pytest.raises(Interrupted, match="SIGTERM"):
        writer(engine, Backoff(attempts=3, first=60, cap=60)).write("i", chunk(numbered(1)), stop)
    assert len(engine.sent) == 1


def test_an_index_name_that_is_a_pattern_is_never_written_to() -> None:
    engine = Scripted(lambda _, keys: everything(keys))
    with pytest.raises(TargetRefused):
        writer(engine).write("a*", chunk(numbered(1)), Stop())
    assert engine.sent == []


TOO_MANY = (429, {"error": {"type": "rejected_execution_exception", "reason": "too much"}})


def big(count: int) -> Chunk:
    """Documents of 10 KB."""
    return chunk([(f"key-{n:06d}", document(n, inputs="x" * 10_000)) for n in range(count)])


def test_a_body_that_is_refused_again_goes_on_in_halves() -> None:
    """With one bulk in flight and a full back-off it failed, though a smaller one would pass."""

    def small_only(_: int, keys: list[str]) -> tuple[int, Any]:
        return everything(keys) if len(keys) <= 16 else TOO_MANY

    engine = Scripted(small_only)
    result = writer(engine).write("i", big(64), Stop())
    assert result.acknowledged == 64
    assert [len(keys) for keys in engine.sent] == [64, 64, 32, 16, 16, 16, 16]
    assert [key for keys in engine.sent[3:] for key in keys] == engine.sent[0]
    assert (result.refusals, result.split) == (3, True)
    assert "retried 3 times" in result.note
    assert "HTTP 429" in result.note


def test_documents_refused_one_and_all_are_halved_like_a_body() -> None:
    def small_only(_: int, keys: list[str]) -> tuple[int, Any]:
        if len(keys) <= 16:
            return everything(keys)
        refused = item(429, "es_rejected_execution_exception")
        return 200, {"errors": True, "items": [refused] * len(keys)}

    engine = Scripted(small_only)
    result = writer(engine).write("i", big(32), Stop())
    assert [len(keys) for keys in engine.sent] == [32, 32, 16, 16]
    assert (result.acknowledged, result.refusals, result.split) == (32, 2, True)


def test_a_target_that_is_down_says_nothing_about_the_size() -> None:
    def down(call: int, keys: list[str]) -> tuple[int, Any]:
        if call < 4:
            raise Unanswered(Broken.LOST, "reset")
        return everything(keys)

    engine = Scripted(down)
    result = writer(engine).write("i", big(32), Stop())
    assert [len(keys) for keys in engine.sent] == [32] * 4
    assert (result.refusals, result.split) == (3, False)


def test_small_bodies_are_not_halved_because_of_load() -> None:
    engine = Scripted(lambda call, keys: everything(keys) if call > 4 else TOO_MANY)
    result = writer(engine).write("i", big(6), Stop())
    assert [len(keys) for keys in engine.sent] == [6] * 5
    assert not result.split


def test_a_body_above_a_proxy_s_limit_is_known_to_have_been_too_big() -> None:
    def limited(_: int, keys: list[str]) -> tuple[int, Any]:
        return everything(keys) if len(keys) <= 8 else (413, "Request Entity Too Large")

    engine = Scripted(limited)
    result = writer(engine).write("i", big(32), Stop())
    assert (result.acknowledged, result.refusals, result.split) == (32, 0, True)
    assert [len(keys) for keys in engine.sent] == [32, 16, 8, 8, 8, 8]
    assert "smaller pieces" in result.note


def test_the_engine_s_time_is_measured_without_the_waits() -> None:
    ticks = iter(range(0, 1000, 10))
    engine = Scripted(lambda call, keys: everything(keys) if call > 1 else TOO_MANY)
    endpoint = Endpoint(engine=Engine.OPENSEARCH, hosts=("http://h:9200",))
    result = BulkWriter(
        SearchClient(endpoint, wire=engine),
        rng=random.Random(1),
        backoff=QUICK,
        monotonic=lambda: float(next(ticks)),
    ).write("i", chunk(numbered(1)), Stop())
    assert result.seconds == 20.0


def test_a_chunk_that_moves_on_is_not_given_up() -> None:
    """One document passes with each attempt: more attempts than the back-off has."""

    def one(_: int, keys: list[str]) -> tuple[int, Any]:
        refused = item(429, "es_rejected_execution_exception")
        return 200, {"errors": True, "items": [item(201), *[refused] * (len(keys) - 1)]}

    engine = Scripted(one)
    result = writer(engine).write("i", chunk(numbered(3 * QUICK.attempts)), Stop())
    assert result.acknowledged == 3 * QUICK.attempts
    assert result.refusals == 3 * QUICK.attempts - 1
