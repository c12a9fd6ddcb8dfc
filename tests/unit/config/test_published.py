"""Schema, reference page and example: what is published is what the code does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from airflow_provider_logmigrate.config import schema as schema_module
from airflow_provider_logmigrate.config.loader import load
from airflow_provider_logmigrate.config.reference import reference_text
from airflow_provider_logmigrate.config.schema import config_schema, schema_text

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "dags/logmigrate.example.yaml"
SCHEMA = Path(schema_module.__file__).with_name("schema.json")
PAGE = ROOT / "docs/configuration.md"


def as_json(text: str) -> Any:
    """YAML as an editor's schema check sees it: days are text."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))


def test_the_published_schema_is_current() -> None:
    command = f"python -m {schema_module.__name__} > {SCHEMA.relative_to(ROOT)}"
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), f"run: {command}"


def test_the_reference_page_is_current() -> None:
    example = EXAMPLE.read_text(encoding="utf-8")
    command = (
        "python -m airflow_provider_logmigrate.config.reference "
        "dags/logmigrate.example.yaml > docs/configuration.md"
    )
    assert PAGE.read_text(encoding="utf-8") == reference_text(example), f"run: {command}"


@pytest.mark.parametrize(
    "command", [["schema"], ["reference", "dags/logmigrate.example.yaml"]], ids=["schema", "page"]
)
def test_the_commands_print_what_is_published(command: list[str]) -> None:
    module, *arguments = command
    done = subprocess.run(
        [sys.executable, "-m", f"airflow_provider_logmigrate.config.{module}", *arguments],
        capture_output=True,
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    published = SCHEMA if module == "schema" else PAGE
    assert done.stdout == published.read_bytes()


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(config_schema())


def test_the_example_loads_without_a_problem_and_fits_the_schema() -> None:
    config = load(EXAMPLE)

    assert config.problems == ()
    assert list(config.migrations) == ["dify_logs", "audit"]
    validator().validate(as_json(EXAMPLE.read_text()))


def test_the_example_shows_every_key() -> None:
    example = EXAMPLE.read_text()
    schema = config_schema()
    models = {"IndexModel", "LimitsModel", "MigrationModel", "OffloadModel", "ProofModel"}
    models |= {"SettledParentModel", "SettledWithParentModel", "StoreModel", "StreamModel"}
    keys = {key for name in models for key in schema["$defs"][name]["properties"]}

    assert {key for key in keys if not re.search(rf"\b{key}:", example)} == set()


def test_the_page_explains_every_key() -> None:
    page = PAGE.read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.*?) \| (.*) \|$", page, flags=re.MULTILINE)
    schema = config_schema()
    expected = [key for model in schema["$defs"].values() for key in model["properties"]]

    assert sorted(key for key, *_ in rows) == sorted([*expected, *schema["properties"]])
    assert [key for key, kind, _, meaning in rows if not meaning.strip() or kind == "any"] == []
    anchors = {
        re.sub(r"[^\w -]", "", h).replace(" ", "-").lower() for h in re.findall("## (.*)", page)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors


@pytest.mark.parametrize(
    "change",
    [
        {"versions": 1},
        {"version": 2},
        {"stores": {"a": {"type": "mysql", "connection": "c"}}},
        {"migrations": {"M-1": {}}},
        {"migrations": {"m": {"pack": "dify"}}},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(change: dict[str, Any]) -> None:
    values = as_json(EXAMPLE.read_text()) | change

    assert not validator().is_valid(values)


@pytest.mark.parametrize(
    "change",
    [
        {"settle_lag": 15},
        {"settle_lag": "15 minutes"},
        {"limits": {"chunk": "4MB"}},
        {"lanes": 0},
        {"tenants": {}},
        {"tenants": {"list": ["a"], "file": "b"}},
        {"tenants": {"list": [7]}},
        {"streams": [7]},
        {"strategy": "fast"},
    ],
)
def test_the_schema_looks_into_a_migration(change: dict[str, Any]) -> None:
    values = as_json(EXAMPLE.read_text())
    values["migrations"]["dify_logs"] |= change

    assert not validator().is_valid(values)


def test_reading_needs_pydantic_only_when_a_file_is_read(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "import airflow_provider_logmigrate.config.loader as loader\n"
        "import airflow_provider_logmigrate.config.import_env\n"
        "import airflow_provider_logmigrate.streams.registry\n"
        "print(sorted({'pydantic', 'yaml', 'airflow'} & set(sys.modules)))\n"
        f"loader.load({str(EXAMPLE)!r})\n"
        "print('airflow' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.split("\n")[:2] == ["[]", "False"]
