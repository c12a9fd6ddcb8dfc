"""What stands in the blocks is right: configuration loads, JSON parses, Python compiles."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path

import pytest

from airflow_provider_logmigrate.config.loader import load
from tests.docs.pages import PAGES, ROOT, Block, page


def _blocks(language: str) -> list[Block]:
    return [block for each in PAGES for block in each.of(language)]


def _where(block: Block) -> str:
    return block.where


@pytest.mark.parametrize("block", _blocks("yaml"), ids=_where)
def test_configurations_load_without_a_problem(block: Block, tmp_path: Path) -> None:
    if "migrations:" not in block.text:
        return
    path = tmp_path / "logmigrate.yaml"
    path.write_text(block.text, encoding="utf-8")

    config = load(path)

    assert config.problems == ()
    assert config.migrations


def test_there_are_configurations_to_load() -> None:
    pages = {block.where.split(":")[0] for block in _blocks("yaml") if "migrations:" in block.text}

    assert {"README.md", "docs/getting-started.md", "docs/configuration.md"} <= pages


@pytest.mark.parametrize("block", _blocks("json"), ids=_where)
def test_json_parses(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", _blocks("python"), ids=_where)
def test_python_compiles_and_its_imports_of_ours_exist(block: Block) -> None:
    tree = ast.parse(block.text)

    missing = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            if not node.module.startswith("airflow_provider_logmigrate"):
                continue
            module = importlib.import_module(node.module)
            missing += [
                f"{node.module}.{name.name}"
                for name in node.names
                if not hasattr(module, name.name)
            ]
    assert missing == []


def test_what_is_checked_here_says_its_language() -> None:
    signs = ("{", "airflow ", "import ", "from ", "migrations:", "SELECT ")
    unsaid = [
        block.where
        for block in _blocks("")
        if any(line.lstrip().startswith(signs) for line in block.text.splitlines())
    ]

    assert unsaid == []


def test_the_dag_file_is_shown_as_it_is() -> None:
    shown = [block.text for block in page("docs/getting-started.md").of("python")]

    assert (ROOT / "dags/logmigrate.py").read_text(encoding="utf-8") in shown


def test_the_example_dag_is_shown_as_it_is() -> None:
    shown = [block.text for block in page("docs/operators.md").of("python")]

    assert (ROOT / "examples/own_dag.py").read_text(encoding="utf-8") in shown
