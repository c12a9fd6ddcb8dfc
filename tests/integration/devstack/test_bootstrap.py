from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devstack.paths import CACHE, CHECKOUT

SCRIPT = CHECKOUT / "devstack" / "bootstrap.py"
# What an editable install of a hatchling project needs.
BUILD_TOOLS = {"editables", "hatchling", "packaging", "pathspec", "pluggy", "tomli"}
BUILD_TOOLS |= {"trove-classifiers"}
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tiny"
version = "1"
"""


def entries(lock: Path, names: set[str]) -> str:
    """The entries of a lock file for some packages."""
    parts = re.split(r"\n(?=[a-z0-9])", lock.read_text())
    return "\n".join(part for part in parts if re.split("[= ]", part)[0] in names) + "\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small project with this one's bootstrap, in a folder with a blank in its name."""
    root = tmp_path / "check out"
    (root / "devstack").mkdir(parents=True)
    for name in ("bootstrap.py", "bootstrap.lock"):
        shutil.copy(CHECKOUT / "devstack" / name, root / "devstack" / name)
    (root / "requirements").mkdir()
    real = CHECKOUT / "requirements"
    (root / "requirements" / "demo.lock").write_text(entries(real / "demo.lock", BUILD_TOOLS))
    dev = entries(real / "dev.lock", BUILD_TOOLS | {"idna"})
    (root / "requirements" / "dev.lock").write_text(dev)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "tiny").mkdir()
    (root / "tiny" / "__init__.py").write_text("")
    return root


def bootstrap(root: Path, wanted: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "UV_CACHE_DIR": str(CACHE / "uv"), **variables}
    command = [sys.executable, str(root / "devstack" / "bootstrap.py"), wanted]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def has(root: Path, *modules: str) -> bool:
    code = "import " + ", ".join(modules)
    return subprocess.run([root / ".venv" / "bin" / "python", "-c", code], cwd="/").returncode == 0


def test_from_nothing_to_dev_and_on(checkout: Path) -> None:
    first = bootstrap(checkout, "demo")
    assert first.returncode == 0, first.stderr
    assert has(checkout, "tiny", "hatchling")
    assert not has(checkout, "idna")

    began = time.monotonic()
    again = bootstrap(checkout, "demo")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert time.monotonic() - began < 1

    assert bootstrap(checkout, "dev").returncode == 0
    assert has(checkout, "tiny", "idna")
    # An environment for tests will do for the demo.
    assert bootstrap(checkout, "demo").stdout == ""
    assert has(checkout, "idna")

    # A changed lock is followed, and the environment for tests stays one.
    lock = checkout / "requirements" / "dev.lock"
    lock.write_text(lock.read_text() + entries(CHECKOUT / "requirements" / "dev.lock", {"six"}))
    assert bootstrap(checkout, "demo").returncode == 0
    assert has(checkout, "idna", "six", "tiny")

    # Scripts hold the folder's path: after a move they must be made anew.
    moved = checkout.rename(checkout.parent / "moved")
    assert bootstrap(moved, "dev").returncode == 0
    assert has(moved, "tiny")
    script = moved / ".venv" / "bin" / "hatchling"
    assert subprocess.run([script, "--help"], stdout=subprocess.DEVNULL).returncode == 0


def test_without_a_network_it_says_what_to_do(checkout: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    done = bootstrap(checkout, "demo", PIP_NO_CACHE_DIR="1", **nowhere)
    assert done.returncode == 1
    assert "set HTTPS_PROXY" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_old_python_is_told_so() -> None:
    # Its grammar gets as far as the message,
    ast.parse(SCRIPT.read_text(), feature_version=(3, 7))
    assert "from __future__ import annotations\n" not in SCRIPT.read_text()
    # which is the first thing done.
    code = (
        "import runpy, sys\n"
        "sys.version_info = (3, 8, 1)\n"
        f"sys.argv = ['bootstrap.py', 'demo']\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "needed is 3.10 or later" in done.stderr
    assert "make PYTHON=" in done.stderr
