"""Templates, indices and aliases of the wanted names that are somebody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_logmigrate.core.errors import IndexConflict, TemplateConflict
from tests.integration.operators.errors import told
from tests.integration.operators.stage import Stage

UNIT = "events/acme/2025-01"


@pytest.fixture
def filled(each_stage: Stage) -> Stage:
    each_stage.fill(10)
    return each_stage


def template(stage: Stage, name: str, pattern: str, priority: int) -> str:
    full = f"{stage.prefix}-{name}"
    stage.client.request(
        "PUT",
        f"/_index_template/{full}",
        body={"index_patterns": [pattern], "priority": priority},
    )
    return full


def test_a_template_of_the_same_priority(filled: Stage) -> None:
    stage = filled
    other = template(stage, "others", f"{stage.prefix}-events-*", 200)
    with told(TemplateConflict, other, f"{stage.prefix}-events-template", retried=False):
        stage.run().plan()
    stage.client.request("DELETE", f"/_index_template/{other}")
    run = stage.run()
    run.plan()
    template(stage, "others", f"{stage.prefix}-events-*", 200)
    with told(TemplateConflict, other, retried=False):
        run.backfill()
    assert stage.client.request("GET", f"/{stage.prefix}-*/_alias").data == {}
    with stage.ledger() as ledger:
        assert ledger.units.states(stage.migration) == [], "no row was touched"


def test_a_template_of_our_name_that_is_not_ours(filled: Stage) -> None:
    other = template(filled, "events-template", "something-else-*", 7)
    with told(TemplateConflict, other, "isn't ours", retried=False):
        filled.run().plan()
    found = filled.client.request("GET", f"/_index_template/{other}").data["index_templates"]
    assert found[0]["index_template"]["priority"] == 7


@pytest.fixture
def foreign(filled: Stage) -> Iterator[str]:
    """An index of the wanted name with a document of somebody else."""
    index = filled.index(UNIT)
    filled.client.request("PUT", f"/{index}/_doc/theirs", body={"theirs": True})
    yield index
    assert filled.documents(index) == {"theirs": {"theirs": True}}, "untouched"
    assert filled.settings(index).get("index.refresh_interval") is None


def test_an_index_of_the_wanted_name(filled: Stage, foreign: str) -> None:
    with told(IndexConflict, foreign, "wasn't made by", "index_prefix", retried=False):
        filled.run().plan()


def test_an_index_of_the_wanted_name_that_comes_after_the_plan(filled: Stage) -> None:
    run = filled.run()
    run.plan()
    index = filled.index(UNIT)
    filled.client.request("PUT", f"/{index}/_doc/theirs", body={"theirs": True})
    with told(IndexConflict, index, "wasn't made by this provider", retried=False):
        run.backfill()
    assert filled.documents(index) == {"theirs": {"theirs": True}}


def test_an_alias_that_has_the_wanted_index_name(filled: Stage) -> None:
    run = filled.run()
    run.plan()
    index = filled.index(UNIT)
    filled.client.request("PUT", f"/{filled.prefix}-other", body={"aliases": {index: {}}})
    with told(IndexConflict, index, "alias", retried=False):
        run.backfill()
    assert filled.count(f"{filled.prefix}-other") == 0


@pytest.mark.parametrize("tail", ["", "-2025.01"], ids=["tenant", "unit"])
def test_an_index_that_has_the_name_of_the_readers_alias(filled: Stage, tail: str) -> None:
    name = f"{filled.prefix}-events-acme{tail}"
    filled.client.request("PUT", f"/{name}/_doc/theirs", body={"theirs": True})
    with told(IndexConflict, name, "name of an alias", retried=False):
        filled.run().plan()
    assert filled.documents(name) == {"theirs": {"theirs": True}}


def test_that_index_comes_after_the_plan(filled: Stage) -> None:
    run = filled.run()
    run.copy()
    run.prove()
    name = f"{filled.prefix}-events-acme"
    filled.client.request("PUT", f"/{name}")
    with told(IndexConflict, name, retried=False):
        run.swap()
    assert filled.aliases() == {}, "all or nothing"
    with filled.ledger() as ledger:
        assert ledger.cutovers.list(filled.migration) == []


def test_an_alias_with_a_filter_would_be_lost(filled: Stage) -> None:
    alias = f"{filled.prefix}-events-acme"
    filled.client.request(
        "PUT",
        f"/{filled.prefix}-old",
        body={"aliases": {alias: {"filter": {"term": {"a": "b"}}}}},
    )
    with told(IndexConflict, alias, "filter", retried=False):
        filled.run().plan()


def test_a_plain_alias_of_older_data_keeps_them(filled: Stage) -> None:
    """Readers of a tenant's alias see what they saw before, and the new month beside it."""
    alias = f"{filled.prefix}-events-acme"
    filled.client.request("PUT", f"/{filled.prefix}-old", body={"aliases": {alias: {}}})
    filled.run().whole()
    assert filled.aliases()[alias] == sorted([f"{filled.prefix}-old", filled.index(UNIT)])
