"""The wheel: what is in it, and that Airflow finds the provider in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PACKAGE = "airflow_provider_logmigrate"

PROBE = """
import json
import pathlib
from importlib import import_module, metadata, resources

import airflow_provider_logmigrate as package
from airflow.plugins_manager import get_plugin_info
from airflow.providers_manager import ProvidersManager

manager = ProvidersManager()
provider = manager.providers["airflow-provider-logmigrate"]
entry_points = metadata.distribution("airflow-provider-logmigrate").entry_points
print(json.dumps({
    "file": package.__file__,
    "version": package.__version__,
    "provider_version": provider.version,
    "package_name": provider.data["package-name"],
    "cli": [command.name for command in import_module(
        "airflow_provider_logmigrate.cli.definition").get_cli()],
    "entry_points": {point.group: point.load().__name__ for point in entry_points},
    "plugins": [plugin["name"] for plugin in get_plugin_info()],
    "schema": json.loads(
        resources.files(package).joinpath("config/schema.json").read_text())["type"],
}))
"""


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run to the end and return what was printed; a failure shows all of it."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def clean_environment(home: Path) -> dict[str, str]:
    """This process's environment less everything that steers Python or Airflow."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHON", "PYTEST", "VIRTUAL_ENV"))
    }
    cache = os.environ.get("UV_CACHE_DIR", str(CHECKOUT / "build" / "cache" / "uv"))
    return {**kept, "AIRFLOW_HOME": str(home), "UV_CACHE_DIR": cache}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=CHECKOUT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def probed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an interpreter with nothing but the locked dependencies and the wheel says."""
    folder = tmp_path_factory.mktemp("clean")
    environment = clean_environment(folder / "airflow")
    python = folder / "venv" / "bin" / "python"

    def uv(*words: str | Path) -> str:
        return run(sys.executable, "-m", "uv", *words, cwd=folder, env=environment)

    uv("venv", "--python", sys.executable, python.parents[1])
    lock = CHECKOUT / "requirements" / "demo.lock"
    uv("pip", "sync", "--require-hashes", "--compile-bytecode", "--python", python, lock)
    uv("pip", "install", "--no-deps", "--compile-bytecode", "--python", python, wheel)
    # Tells when the lock is behind the dependencies of pyproject.toml.
    uv("pip", "check", "--python", python)
    answer = run(python, "-c", PROBE, cwd=folder, env=environment).splitlines()[-1]
    found: dict[str, Any] = json.loads(answer)
    return found


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert {name.split("/")[0].split("-")[0] for name in names} == {PACKAGE}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith(f"{PACKAGE}/")}
    expected = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert names == expected
    assert {f"{PACKAGE}/py.typed", f"{PACKAGE}/config/schema.json"} <= names
    assert [name for name in names if name.startswith(f"{PACKAGE}/ledger/schema/")]


def test_wheel_carries_licence_and_description(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata_file,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(metadata_file).decode()
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]

    assert "License-Expression: Apache-2.0\n" in text
    assert "Requires-Python: >=3.10\n" in text
    assert (CHECKOUT / "README.md").read_text().strip() in text
    assert len(licences) == 1


def test_airflow_finds_the_installed_provider(probed: dict[str, Any]) -> None:
    assert str(CHECKOUT) not in probed["file"]
    assert probed["provider_version"] == probed["version"]
    assert probed["package_name"] == "airflow-provider-logmigrate"
    assert probed["cli"] == ["logmigrate"]
    assert probed["schema"] == "object"


def test_airflow_loads_the_installed_plugin(probed: dict[str, Any]) -> None:
    assert probed["entry_points"] == {
        "apache_airflow_provider": "get_provider_info",
        "airflow.plugins": "LogMigratePlugin",
    }
    assert "logmigrate" in probed["plugins"]
