from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_logmigrate.stores.search.classify import Fate, classify, outcomes


@pytest.mark.parametrize(
    ("status", "kind", "fate"),
    [
        (201, None, Fate.ACKNOWLEDGED),
        (200, None, Fate.ACKNOWLEDGED),
        (409, "version_conflict_engine_exception", Fate.SUPERSEDED),
        (429, "es_rejected_execution_exception", Fate.RETRY),
        (429, "rejected_execution_exception", Fate.RETRY),
        (429, "circuit_breaking_exception", Fate.RETRY),
        (500, "circuit_breaking_exception", Fate.RETRY),
        (503, "unavailable_shards_exception", Fate.RETRY),
        (503, "cluster_block_exception", Fate.RETRY),
        (502, "x", Fate.RETRY),
        (504, "x", Fate.RETRY),
        (500, "i_o_exception", Fate.RETRY),
        (403, "cluster_block_exception", Fate.BLOCKED),
        (429, "cluster_block_exception", Fate.BLOCKED),
        (404, "index_not_found_exception", Fate.REFUSED),
        (400, "index_closed_exception", Fate.REFUSED),
        (403, "security_exception", Fate.REFUSED),
        (400, "mapper_parsing_exception", Fate.REJECTED),
        (400, "document_parsing_exception", Fate.REJECTED),
        (400, "illegal_argument_exception", Fate.REJECTED),
        (413, "anything", Fate.REJECTED),
        (409, "some_other_conflict", Fate.REJECTED),
    ],
)
def test_fate(status: int, kind: str | None, fate: Fate) -> None:
    item: dict[str, Any] = {"status": status}
    if kind:
        item["error"] = {"type": kind, "reason": "because"}
    assert classify(item).fate is fate


def test_the_reason_holds_the_innermost_cause() -> None:
    error = {
        "type": "mapper_parsing_exception",
        "reason": "failed to parse field [a]",
        "caused_by": {
            "type": "b",
            "reason": "middle",
            "caused_by": {"type": "c", "reason": "not a number"},
        },
    }
    found = classify({"status": 400, "error": error})
    assert found.reason == "failed to parse field [a]: not a number"
    assert found.kind == "mapper_parsing_exception"


def test_every_document_is_accounted_for() -> None:
    good = {"index": {"status": 201}}
    found = outcomes({"errors": False, "items": [good, good]}, 2)
    assert found is not None
    assert [o.fate for o in found] == [Fate.ACKNOWLEDGED] * 2


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "<html>all fine</html>",
        [],
        {},
        {"errors": False},
        {"errors": False, "items": []},
        {"errors": False, "items": [{"index": {"status": 201}}]},
        {"errors": False, "items": [{"index": {"status": 201}}] * 3},
        {"errors": False, "items": [{"index": {"status": 201}}, {}]},
        {"errors": False, "items": [{"index": {"status": 201}}, {"index": {}}]},
        {"errors": False, "items": [{"index": {"status": 201}}, {"index": None}]},
        {"errors": False, "items": [{"index": {"status": 201}}, 5]},
        {"errors": False, "items": {"index": {"status": 201}}},
    ],
)
def test_an_answer_that_does_not_account_for_each_is_no_answer(answer: Any) -> None:
    assert outcomes(answer, 2) is None
