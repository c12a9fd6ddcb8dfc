"""Answers that the engines here can't be made to give: lifecycle policies, failed deletions."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import TargetRefused, TargetUnavailable
from airflow_provider_logmigrate.core.retention_plan import Action, RetentionItem, Slice
from airflow_provider_logmigrate.stores.search import lifecycle
from airflow_provider_logmigrate.stores.search.client import Endpoint, Engine, SearchClient
from airflow_provider_logmigrate.stores.search.existing import IndexState
from airflow_provider_logmigrate.stores.search.retention import SearchRetention

INDEX = "dify-runs-a-2025.01-v1"
ITEM = RetentionItem(
    INDEX,
    "u1",
    Action.DELETE,
    total=9,
    aliases=(),
    slices=(
        Slice(
            "runs/a/2025-01", None, (("status", ("done",)),), (), "2025-03-01", 5, "2025-01", "r"
        ),
    ),
)


class Answers:
    """A wire with prepared answers, by the beginning of the path."""

    def __init__(self, **answers: tuple[int, Any]) -> None:
        self._answers = {f"/{name}": answer for name, answer in answers.items()}
        self.asked: list[tuple[str, str]] = []

    def send(self, method: str, path: str, *_: Any) -> tuple[int, Any]:
        self.asked.append((method, path))
        return next(a for start, a in self._answers.items() if path.startswith(start))

    def close(self) -> None:
        pass


def client(wire: Answers, engine: Engine = Engine.OPENSEARCH) -> SearchClient:
    endpoint = Endpoint(engine=engine, hosts=("http://engine:9200",))
    return SearchClient(endpoint, wire=wire, backoff=Backoff(attempts=1, first=0, cap=0))


def state(**settings: str) -> IndexState:
    return IndexState(INDEX, {}, {}, settings, frozenset())


def ism(policy: str | None) -> dict[str, Any]:
    """As OpenSearch's plugin explains an index."""
    entry = {"index.plugins.index_state_management.policy_id": policy}
    return {INDEX: entry, "total_managed_indices": int(policy is not None)}


@pytest.mark.parametrize(
    ("answer", "policy"),
    [
        ((200, ism("delete-after-30d")), "delete-after-30d"),
        ((200, ism(None)), None),
        ((200, {"total_managed_indices": 0}), None),
        ((400, {"error": "no handler found for uri [/_plugins/_ism/explain/x]"}), None),
    ],
)
def test_opensearch_tells_the_policy_of_an_index(
    answer: tuple[int, Any], policy: str | None
) -> None:
    wire = Answers(_plugins=answer)
    assert lifecycle.policy(client(wire), state()) == policy
    assert wire.asked == [("GET", f"/_plugins/_ism/explain/{INDEX}")]


def test_a_plugin_that_doesnt_tell_is_no_free_pass() -> None:
    with pytest.raises(TargetRefused, match="doesn't tell whether a policy manages"):
        lifecycle.policy(client(Answers(_plugins=(400, {"error": "odd"}))), state())
    with pytest.raises(TargetUnavailable):
        lifecycle.policy(client(Answers(_plugins=(503, {"error": "down"}))), state())


def test_elasticsearch_keeps_the_policy_in_the_settings() -> None:
    elastic = client(Answers(), Engine.ELASTICSEARCH)
    assert lifecycle.policy(elastic, state(**{"index.lifecycle.name": "hot-warm"})) == "hot-warm"
    dated = state(**{"index.lifecycle.origination_date": "1736036040000"})
    assert lifecycle.policy(elastic, dated) is None


@pytest.mark.parametrize(
    "ended",
    [
        {"completed": True, "response": {"failures": [{"cause": {"reason": "broken shard"}}]}},
        {"completed": True, "error": {"reason": "broken shard"}},
    ],
)
def test_a_deletion_that_failed_says_why(ended: dict[str, Any]) -> None:
    wire = Answers(**{INDEX: (200, {"task": "n:1"}), "_tasks": (200, ended)})
    target = SearchRetention(client(wire), {"runs": "at"}, documents_per_second=100)
    with pytest.raises(TargetRefused, match="broken shard"):
        target.delete(ITEM, stop=Stop())


def test_a_deletion_whose_node_was_restarted_is_left_to_the_count() -> None:
    wire = Answers(**{INDEX: (200, {"task": "n:1"}), "_tasks": (404, {"error": "gone"})})
    SearchRetention(client(wire), {"runs": "at"}, documents_per_second=100).delete(
        ITEM, stop=Stop()
    )
    assert wire.asked[-1] == ("GET", "/_tasks/n%3A1")


def test_a_stopped_task_tells_its_deletion_to_end() -> None:
    from airflow_provider_logmigrate.core.errors import Interrupted

    wire = Answers(**{INDEX: (200, {"task": "n:1"}), "_tasks": (200, {"completed": False})})
    stop = Stop()
    stop.set("asked to")
    target = SearchRetention(client(wire), {"runs": "at"}, documents_per_second=100)
    with pytest.raises(Interrupted):
        target.delete(ITEM, stop=stop)
    assert wire.asked[-1] == ("POST", "/_tasks/n%3A1/_cancel")


def test_a_drop_during_a_snapshot_passes_by_itself() -> None:
    error = {"type": "snapshot_in_progress_exception", "reason": "being snapshotted"}
    target = SearchRetention(
        client(Answers(_aliases=(400, {"error": error}))), {}, documents_per_second=1
    )
    with pytest.raises(TargetUnavailable, match="being snapshotted"):
        target.drop(INDEX)


@pytest.mark.parametrize("name", [".ds-logs-2025.01.01-000001", "a,b", "a*", "_all"])
def test_a_backing_index_or_a_pattern_is_never_asked_for(name: str) -> None:
    wire = Answers()
    target = SearchRetention(client(wire), {}, documents_per_second=1)
    for forbidden in (target.drop, target.uuid):
        with pytest.raises(TargetRefused, match="more than one index"):
            forbidden(name)
    assert wire.asked == []
