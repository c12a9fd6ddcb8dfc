"""Packs and stream names as people type them."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.streams.registry import aliases, near, pack, packs, select

DIFY = pack("dify")


def test_packs() -> None:
    assert packs() == ("dify",)
    assert len(DIFY) == 4


@pytest.mark.parametrize(("name", "hint"), [("difi", "did you mean 'dify'"), ("x", "known: dify")])
def test_an_unknown_pack(name: str, hint: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"there is no pack '{name}'; {hint}"):
        pack(name)


def test_aliases_lead_to_streams() -> None:
    assert set(aliases("dify").values()) == {stream.name for stream in DIFY}
    assert aliases(None) == {}


@pytest.mark.parametrize(
    ("names", "tables"),
    [
        (["node_executions", "runs"], ["workflow_runs", "workflow_node_executions"]),
        (["workflow_app_logs", "app_logs"], ["workflow_app_logs"]),
        (["offload"], ["workflow_node_execution_offload"]),
        (["all", "runs"], [stream.name for stream in DIFY]),
        ([], []),
    ],
)
def test_select(names: list[str], tables: list[str]) -> None:
    chosen = select(DIFY, names, short=aliases("dify"))

    assert [stream.name for stream in chosen] == tables


def test_all_unknown_names_are_told() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        select(DIFY[:1], ["run", "app_logs", "workflow_runs"], short=aliases("dify"))

    assert caught.value.data == {"unknown": ["run", "app_logs"]}
    assert "there is no stream 'run'; did you mean 'runs'?" in caught.value.what


def test_near() -> None:
    assert near("tenant", ["tenants", "to"]) == "; did you mean 'tenants'?"
    assert near("x", ["b", "a"]) == "; known: a, b"
    assert near("x", []) == ""
