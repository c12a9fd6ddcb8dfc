from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.process import BackgroundProcess
from devstack.scratch import scratch_folder

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_servers_are_stopped_when_the_folder_goes(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        root = folder / "server"
        root.mkdir()
        process = BackgroundProcess(root, "sleeper")
        process.start(SLEEP, env={})
        assert process.running()
    assert not process.running()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    # A run of its own that starts a server and dies without a chance to stop it.
    code = (
        "import os, pathlib, sys\n"
        "from devstack.process import BackgroundProcess\n"
        "from devstack.scratch import scratch_folder\n"
        "with scratch_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'server').mkdir()\n"
        "    process = BackgroundProcess(folder / 'server', 'sleeper')\n"
        "    process.start([sys.executable, '-c', 'import time; time.sleep(60)'], env={})\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=env)
    assert killed.returncode == -9
    (left,) = tmp_path.iterdir()
    server = BackgroundProcess(left / "server", "sleeper")
    assert server.running()
    with scratch_folder(tmp_path) as folder:
        assert not server.running()
        assert list(tmp_path.iterdir()) == [folder]


def test_a_run_going_on_keeps_its_folder(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as ours, scratch_folder(tmp_path) as theirs:
        assert sorted(tmp_path.iterdir()) == sorted([ours, theirs])


def test_the_folder_goes_even_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
