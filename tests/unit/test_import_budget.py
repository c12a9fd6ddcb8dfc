"""What an import of the package may cost: Airflow imports it in each of its processes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = frozenset(
    {
        "airflow",
        "alembic",
        "elastic_transport",
        "elasticsearch",
        "fastapi",
        "opensearchpy",
        "psycopg",
        "psycopg2",
        "pydantic",
        "rich",
        "sqlalchemy",
        "yaml",
    }
)


def modules_loaded_by(statement: str) -> set[str]:
    """The names of the modules that a statement adds to a fresh interpreter's ``sys.modules``."""
    script = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("statement", "budget"),
    [
        ("import airflow_provider_logmigrate", 5),
        (
            "import airflow_provider_logmigrate.get_provider_info as m; m.get_provider_info()",
            30,
        ),
    ],
    ids=["package", "provider-info"],
)
def test_import_stays_light(statement: str, budget: int) -> None:
    loaded = modules_loaded_by(statement)

    assert {name.split(".")[0] for name in loaded} & HEAVY == set()
    assert len(loaded) <= budget, sorted(loaded)


def test_core_runs_on_the_standard_library_alone() -> None:
    loaded = modules_loaded_by(
        "import importlib, pkgutil\n"
        "import airflow_provider_logmigrate.core as core\n"
        "for module in pkgutil.walk_packages(core.__path__, core.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
    )
    foreign = {
        root
        for root in (name.split(".")[0] for name in loaded)
        if root not in sys.stdlib_module_names
    }

    assert "airflow_provider_logmigrate.core.unit" in loaded
    assert foreign == {"airflow_provider_logmigrate"}
