"""Action lines of bulks for many indices: whatever the routing holds, it stays a routing."""

from __future__ import annotations

import json

import pytest

from airflow_provider_logmigrate.core.errors import TargetRefused
from airflow_provider_logmigrate.stores.search.bulk import MixedFraming, prefix


def line(framing: MixedFraming, key: bytes = b'"k"') -> dict[str, object]:
    """The action line as it reaches the engine."""
    made = framing.prefix(7) % key
    assert made.count(b"\n") == 1
    assert made.endswith(b"\n")
    action: dict[str, object] = json.loads(made)["index"]
    return action


@pytest.mark.parametrize("routing", [None, "t", "100%b", "%d%%", 'a"b', "two\nlines", "\u2028ü%s"])
def test_a_document_names_its_index_and_routing(routing: str | None) -> None:
    found = line(MixedFraming("runs-2025.01-v1", routing))
    assert found.pop("routing", None) == routing
    assert found == {
        "_index": "runs-2025.01-v1", "_id": "k", "version": 7, "version_type": "external_gte",
    }  # fmt: skip


def test_without_index_and_routing_it_is_the_framing_of_one_index() -> None:
    plain = json.loads(prefix(7) % b'"k"')["index"]
    found = line(MixedFraming("i", None))
    assert {name: found[name] for name in plain} == plain


@pytest.mark.parametrize("index", ["a*", "a,b", "-a", "<a-{now/d}>", ""])
def test_a_name_that_could_mean_several_indices_is_refused(index: str) -> None:
    with pytest.raises(TargetRefused):
        MixedFraming(index, None).prefix(1)
