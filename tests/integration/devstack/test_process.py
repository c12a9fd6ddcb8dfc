from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from devstack.errors import DevstackError
from devstack.process import BackgroundProcess, identity

ENV = {"PATH": os.environ["PATH"]}
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
# A leader with one child that ignores SIGTERM, as a wedged worker would.
STUBBORN = [
    sys.executable,
    "-c",
    (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    ),
]


def wait_for_log(process: BackgroundProcess, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in (process.log.read_text() if process.log.exists() else ""):
        assert time.monotonic() < deadline, f"no {text!r} in {process.log}"
        time.sleep(0.05)


def ended(process: psutil.Process) -> bool:
    # An orphan whose adoptive parent never asks for its exit code stays a zombie.
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_start_and_stop(tmp_path: Path) -> None:
    process = BackgroundProcess(tmp_path, "sleeper")
    pid = process.start(SLEEP, env=ENV)
    assert process.running()
    assert process.pid == pid
    assert os.getsid(pid) == pid
    process.stop(grace=5)
    assert not process.running()
    assert not process.pid_file.exists()
    process.stop()


def test_a_second_start_is_refused(tmp_path: Path) -> None:
    process = BackgroundProcess(tmp_path, "sleeper")
    process.start(SLEEP, env=ENV)
    with pytest.raises(DevstackError, match="already runs"):
        BackgroundProcess(tmp_path, "sleeper").start(SLEEP, env=ENV)
    process.stop(grace=5)


def test_another_object_finds_and_stops_it(tmp_path: Path) -> None:
    started = BackgroundProcess(tmp_path, "sleeper")
    started.start(SLEEP, env=ENV)
    found = BackgroundProcess(tmp_path, "sleeper")
    assert found.running()
    found.stop(grace=5)
    assert not started.running()


def test_who_ignores_the_signal_is_killed_with_its_children(tmp_path: Path) -> None:
    process = BackgroundProcess(tmp_path, "stubborn")
    process.start(STUBBORN, env=ENV)
    wait_for_log(process, "ready")
    members = process.members()
    assert len(members) == 2
    process.stop(grace=0.3)
    assert all(ended(member) for member in members)


def test_what_a_killed_leader_leaves_behind_is_stopped(tmp_path: Path) -> None:
    process = BackgroundProcess(tmp_path, "stubborn")
    pid = process.start(STUBBORN, env=ENV)
    wait_for_log(process, "ready")
    (orphan,) = [member for member in process.members() if member.pid != pid]
    os.kill(pid, signal.SIGKILL)
    while process.running():
        time.sleep(0.05)
    assert not ended(orphan)
    BackgroundProcess(tmp_path, "stubborn").stop(grace=0)
    assert ended(orphan)


def test_a_recycled_pid_never_kills_a_stranger(tmp_path: Path) -> None:
    # The pid file of an earlier process, whose number a stranger has now: it even leads a session
    # and works in the same folder, as the real one would.
    with subprocess.Popen(SLEEP, start_new_session=True, cwd=tmp_path) as stranger:
        process = BackgroundProcess(tmp_path, "gone")
        process.pid_file.write_text(json.dumps({"pid": stranger.pid, "identity": "earlier boot:1"}))
        assert not process.running()
        assert process.pid is None
        process.stop(grace=0)
        assert stranger.poll() is None
        assert not process.pid_file.exists()
        stranger.kill()


def test_an_orphan_outside_our_folder_is_a_stranger(tmp_path: Path) -> None:
    ours, elsewhere = tmp_path / "ours", tmp_path / "elsewhere"
    ours.mkdir()
    elsewhere.mkdir()
    process = BackgroundProcess(elsewhere, "stubborn")
    pid = process.start(STUBBORN, env=ENV)
    wait_for_log(process, "ready")
    os.kill(pid, signal.SIGKILL)
    while process.running():
        time.sleep(0.05)
    claimed = BackgroundProcess(ours, "claimed")
    claimed.pid_file.write_text(process.pid_file.read_text())
    assert claimed.members() == []
    assert len(process.members()) == 1
    process.stop()


def test_an_unreadable_pid_file_is_named(tmp_path: Path) -> None:
    process = BackgroundProcess(tmp_path, "broken")
    process.pid_file.write_text("4711")
    with pytest.raises(DevstackError, match=r"broken\.pid"):
        process.running()


def test_identity_ends_with_the_process() -> None:
    with subprocess.Popen(SLEEP) as child:
        first = identity(child.pid)
        assert first is not None
        assert first != identity(os.getpid())
        child.kill()
    assert identity(child.pid) is None
