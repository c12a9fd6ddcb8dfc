"""Dependencies: declared, used, explained and locked, each list equal to the others."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import tomli

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "airflow_provider_logmigrate"
PROJECT: dict[str, Any] = tomli.loads((CHECKOUT / "pyproject.toml").read_text())["project"]

# Needed without an import of ours: Airflow's own package is all metadata, its code is in
# apache-airflow-core; the providers define connection types.
UNIMPORTED = {
    "apache-airflow",
    "apache-airflow-providers-elasticsearch",
    "apache-airflow-providers-postgres",
}
# Parts of Airflow: what `apache-airflow` itself pulls in on every installation.
PARTS_OF_AIRFLOW = {
    "apache-airflow-core",
    "apache-airflow-providers-standard",
    "apache-airflow-task-sdk",
    "fastapi",
    "starlette",
}


def normal(requirement: str) -> str:
    """The name in a requirement, as package indices spell it."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def declared() -> set[str]:
    return {normal(requirement) for requirement in PROJECT["dependencies"]}


def in_file(name: str) -> set[str]:
    lines = (CHECKOUT / "requirements" / name).read_text().splitlines()
    return {normal(line) for line in lines if line and not line.startswith(("#", "-"))}


def section(title: str) -> set[str]:
    """The packages in the first column of a section's tables in docs/dependencies.md."""
    text = (CHECKOUT / "docs" / "dependencies.md").read_text()
    found = re.search(
        rf"^## {re.escape(title)}.*?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found is not None, title
    rows = re.findall(r"^\| (?!package|-)(.*?) \|", found[1], re.MULTILINE)
    return {normal(name.strip()) for row in rows for name in row.replace("(A)", "").split(",")}


def imports(node: ast.AST) -> Iterator[str]:
    """Every absolute import in a piece of code that is carried out when it runs."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
    for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    for child in [] if for_types else ast.iter_child_nodes(node):
        yield from imports(child)


@cache
def installed() -> dict[str, set[str]]:
    """What each installed distribution has at its top level."""
    # Not metadata.packages_distributions(): Python 3.10's misses most packages.
    return {
        normal(found.name): {file.parts[0] for file in found.files or ()}
        for found in metadata.distributions()
    }


def distributions_of(module: str) -> set[str]:
    return {name for name, tops in installed().items() if {module, f"{module}.py"} & tops}


def third_party_imports() -> dict[str, set[str]]:
    """Top-level modules that the package imports, with the distributions that bring them."""
    names = {
        name for path in PACKAGE.rglob("*.py") for name in imports(ast.parse(path.read_text()))
    }
    tops = {name.split(".")[0] for name in names} - {PACKAGE.name} - set(sys.stdlib_module_names)
    return {top: distributions_of(top) for top in tops}


def test_everything_imported_is_declared() -> None:
    known = declared() | PARTS_OF_AIRFLOW
    undeclared = {top: found for top, found in third_party_imports().items() if not found & known}

    assert undeclared == {}


def test_everything_declared_is_imported() -> None:
    used = {name for found in third_party_imports().values() for name in found}

    assert declared() - used - UNIMPORTED == set()


@pytest.mark.parametrize(
    ("title", "file"),
    [
        ("Of the demonstration", "demo.in"),
        ("Of development", "dev.in"),
    ],
)
def test_tools_are_explained(title: str, file: str) -> None:
    # Airflow and rich stand in demo.in for their versions; the package's own table has them.
    assert section(title) == in_file(file) - declared()


def test_dependencies_are_explained() -> None:
    optional = {normal(name) for name in PROJECT["optional-dependencies"]["opensearch"]}

    assert section("Of the package") == declared() | optional


@pytest.mark.parametrize("lock", ["demo.lock", "dev.lock"])
def test_lock_has_hashes_and_no_addresses(lock: str) -> None:
    text = (CHECKOUT / "requirements" / lock).read_text()
    pins = re.findall(r"^([\w.-]+)==.*\\$", text, re.MULTILINE)
    optional = {normal(name) for name in PROJECT["optional-dependencies"]["opensearch"]}

    assert "://" not in text
    assert "--index-url" not in text
    wanted = declared() | optional | in_file("demo.in")
    if lock == "dev.lock":
        wanted |= in_file("dev.in")
    assert wanted <= {normal(name) for name in pins}
    # Every entry is a pin followed by at least one checksum.
    assert len(re.findall(r"^[\w.-]+==.*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins)
    assert not re.search(r"^[\w.-]+(?!.*==).*$", text, re.MULTILINE)


def test_development_runs_on_the_versions_of_the_demonstration() -> None:
    def pins(lock: str) -> set[str]:
        text = (CHECKOUT / "requirements" / lock).read_text()
        return set(re.findall(r"^[\w.-]+==\S+", text, re.MULTILINE))

    assert pins("demo.lock") <= pins("dev.lock")
