"""Names that two migrations of one file would both use."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_logmigrate.config.entities import Config
from airflow_provider_logmigrate.config.loader import load

TEXT = """\
version: 1
stores:
  db: {type: postgres, connection: pg}
  search: {type: opensearch, connection: os}
  same: {type: opensearch, connection: os}
  other: {type: opensearch, connection: os2}
migrations:
  a: &a
    source: db
    target: search
    index_prefix: p
    tenants: {list: [x, "b "]}
    from: 2025-01-01
    streams: {runs: {table: t, event_time: at, tenant_column: o}}
"""


def loaded(folder: Path, second: str) -> Config:
    path = folder / "logmigrate.yaml"
    path.write_text(TEXT + f"  {second}\n")
    return load(path)


@pytest.mark.parametrize(
    "second",
    [
        "b: {<<: *a}",
        "b: {<<: *a, target: same}",
        "b: {<<: *a, tenants: {list: [y]}, streams: "
        "{runs_old: {table: t, event_time: at, tenant_column: o}}}",
        "b: {<<: *a, tenants: {list: [y]}, index_prefix: p-runs, streams: "
        "{old: {table: t, event_time: at, tenant_column: o}}}",
        # Shared indices have no tenant in their names: two tables would meet in one index.
        "b: {<<: *a, tenants: {list: [y]}, layout: shared}",
    ],
)
def test_the_later_migration_is_left_out(tmp_path: Path, second: str) -> None:
    config = loaded(tmp_path, second)

    assert list(config.migrations) == ["a"]
    assert [problem.path for problem in config.problems] == ["migrations.b.index_prefix"]
    assert config.problems[0].message.startswith("index names on 'os' collide: p-runs-")


@pytest.mark.parametrize(
    "second",
    [
        "b: {<<: *a, tenants: {list: [y]}}",
        "b: {<<: *a, target: other}",
        "b: {<<: *a, index_prefix: p2}",
    ],
)
def test_names_that_stay_apart(tmp_path: Path, second: str) -> None:
    config = loaded(tmp_path, second)

    assert list(config.migrations) == ["a", "b"]
    assert config.problems == ()


def test_a_dag_id_that_is_taken(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'a_b: {<<: *a, target: other, tenants: {list: ["20", "21"]}}')

    assert config.migrations["a"].tenants == ("x", "b ")
    assert config.migrations["a_b"].tenants == ("21",)
    assert [(problem.path, problem.message) for problem in config.problems] == [
        (
            "migrations.a_b.tenants.list[0]",
            "the tenant '20' is left out: its DAG id logmigrate_a_b_20 is taken",
        )
    ]
