from __future__ import annotations

import random
from typing import Any

import pytest

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    Interrupted,
    TargetBlocked,
    TargetRefused,
    TargetUnavailable,
)
from airflow_provider_logmigrate.stores.search.client import (
    Endpoint,
    Engine,
    SearchClient,
    concrete,
    connect,
    path,
)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (("index", "a-b_c.2025", "_bulk"), "/index/a-b_c.2025/_bulk"),
        (("a/b",), "/a%2Fb"),
        (("a?b#c",), "/a%3Fb%23c"),
        (("ä",), "/%C3%A4"),
    ],
)
def test_each_segment_stays_one(segments: tuple[str, ...], expected: str) -> None:
    assert path(*segments) == expected


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_segment_can_not_climb(segment: str) -> None:
    with pytest.raises(TargetRefused):
        path("index", segment, "_bulk")


@pytest.mark.parametrize(
    "name", ["*", "a*", "a,b", "-a", "_all", "<a-{now/d}>", "", "a b", "a/b", "..", "c:a", "a?"]
)
def test_what_could_be_a_pattern_is_no_index_name(name: str) -> None:
    with pytest.raises(TargetRefused, match="more than one index"):
        concrete(name)


def test_names_of_ours_are_concrete() -> None:
    name = "dify-workflow-runs-_2a_2c-2025.01-v1"
    assert concrete(name) == name


@pytest.mark.parametrize(
    "host",
    ["", "localhost:9200", "ftp://h", "http://", "https://u:hunter2@h:9200", "http://h:port"],
)
def test_a_host_that_is_no_plain_url(host: str) -> None:
    with pytest.raises(ConnectionInvalid) as caught:
        connect(Endpoint(engine=Engine.OPENSEARCH, hosts=(host,)))
    assert "hunter2" not in str(caught.value)


def test_no_hosts() -> None:
    with pytest.raises(ConnectionInvalid, match="names no host"):
        connect(Endpoint(engine=Engine.ELASTICSEARCH, hosts=()))


def test_secrets_are_not_shown() -> None:
    endpoint = Endpoint(
        engine=Engine.OPENSEARCH, hosts=("http://h",), password="hunter2", api_key="hunter3"
    )
    assert "hunter" not in repr(endpoint)


def test_a_login_may_hold_any_character() -> None:
    endpoint = Endpoint(engine=Engine.OPENSEARCH, hosts=("http://h",), username="ü", password="p:€")
    assert endpoint.authorization() == "Basic w7w6cDrigqw="


def test_a_missing_ca_file_is_named(tmp_path: Any) -> None:
    missing = str(tmp_path / "ca.pem")
    client = connect(
        Endpoint(engine=Engine.OPENSEARCH, hosts=("https://127.0.0.1:1",), ca_certs=missing)
    )
    with pytest.raises(ConnectionInvalid, match=r"ca\.pem"):
        client.info()


class Says:
    """A wire to something that answers the same to everything."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def send(self, *_: Any) -> tuple[int, Any]:
        return 200, self.data

    def close(self) -> None:
        pass


def info_of(engine: Engine, data: Any) -> Any:
    endpoint = Endpoint(engine=engine, hosts=("http://h:9200",))
    return SearchClient(endpoint, wire=Says(data)).info()


OPENSEARCH_2 = {"version": {"distribution": "opensearch", "number": "2.19.1"}}
DISGUISED = {
    "version": {"number": "7.10.2"},
    "tagline": "The OpenSearch Project: https://opensearch.org/",
}
ELASTIC_8 = {"version": {"number": "8.17.0", "build_flavor": "default"}, "tagline": "You Know"}


def test_supported_engines() -> None:
    assert info_of(Engine.OPENSEARCH, OPENSEARCH_2).release == (2, 19)
    assert info_of(Engine.OPENSEARCH, DISGUISED).flavour is Engine.OPENSEARCH
    assert info_of(Engine.ELASTICSEARCH, ELASTIC_8).version == "8.17.0"


@pytest.mark.parametrize(
    ("engine", "data", "message"),
    [
        (Engine.ELASTICSEARCH, OPENSEARCH_2, "type is elasticsearch, but opensearch 2.19.1"),
        (Engine.OPENSEARCH, ELASTIC_8, "type is opensearch, but elasticsearch 8.17.0"),
        (Engine.ELASTICSEARCH, {"version": {"number": "7.17.0"}}, "too old"),
        (
            Engine.OPENSEARCH,
            {"version": {"distribution": "opensearch", "number": "2.3.0"}},
            "too old",
        ),
        (Engine.OPENSEARCH, {"hello": "world"}, "neither"),
        (Engine.OPENSEARCH, "<html>", "neither"),
    ],
)
def test_other_engines_are_refused(engine: Engine, data: Any, message: str) -> None:
    with pytest.raises(ConnectionInvalid, match=message):
        info_of(engine, data)


class Answers:
    """A wire that answers from a list and counts."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = list(answers)
        self.sent = 0

    def send(self, *_: Any) -> tuple[int, Any]:
        self.sent += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self) -> None:
        pass


QUICK = Backoff(attempts=4, first=0.001, cap=0.002)
BUSY = (429, {"error": {"type": "rejected_execution_exception", "reason": "too much"}})


def through(wire: Answers, *, backoff: Backoff = QUICK, stop: Stop | None = None) -> SearchClient:
    endpoint = Endpoint(engine=Engine.OPENSEARCH, hosts=("http://h:9200",))
    return SearchClient(endpoint, wire=wire, backoff=backoff, rng=random.Random(1), stop=stop)


@pytest.mark.parametrize("refused", [BUSY, (503, "no cluster manager")])
def test_a_request_refused_for_now_is_sent_again(refused: tuple[int, Any]) -> None:
    """One 429 to an index's settings cost the whole task a retry."""
    wire = Answers(refused, refused, (200, {"acknowledged": True}))
    assert through(wire).request("PUT", "/i/_settings").data == {"acknowledged": True}
    assert wire.sent == 3


def test_refusals_without_end_are_given_up() -> None:
    wire = Answers(BUSY)
    with pytest.raises(TargetUnavailable, match="HTTP 429"):
        through(wire).request("GET", "/i")
    assert wire.sent == 1 + QUICK.attempts


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((500, "broken"), TargetUnavailable),
        ((404, "nothing there"), TargetRefused),
        ((429, {"error": {"type": "cluster_block_exception", "reason": "disk"}}), TargetBlocked),
        ((503, {"error": {"type": "too_many_buckets_exception"}}), TargetRefused),
    ],
)
def test_nothing_else_is_sent_again(answer: tuple[int, Any], error: type[Exception]) -> None:
    wire = Answers(answer)
    with pytest.raises(error):
        through(wire).request("GET", "/i")
    assert wire.sent == 1


def test_a_request_that_may_not_run_twice_is_sent_once() -> None:
    wire = Answers(BUSY)
    with pytest.raises(TargetUnavailable):
        through(wire).request("POST", "/_aliases", retry=False)
    assert wire.sent == 1


def test_an_expected_status_is_an_answer_and_not_waited_for() -> None:
    wire = Answers(BUSY)
    assert through(wire).request("GET", "/i", expected=(429,)).status == 429
    assert wire.sent == 1


def test_waiting_ends_when_the_task_is_stopped() -> None:
    stop = Stop()
    stop.set("SIGTERM")
    wire = Answers(BUSY)
    with pytest.raises(Interrupted, match="SIGTERM"):
        through(wire, backoff=Backoff(attempts=3, first=600, cap=600), stop=stop).request(
            "GET", "/"
        )
    assert wire.sent == 1
