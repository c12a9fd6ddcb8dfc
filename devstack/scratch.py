"""Throw-away folders for servers of one test run, cleared away even if that run was killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from devstack.paths import BUILD
from devstack.process import BackgroundProcess, identity

_OWNER = "owner"


@contextlib.contextmanager
def scratch_folder(parent: Path = BUILD / "scratch") -> Iterator[Path]:
    """
    A new folder, removed at the end. Servers and stacks kept in it have a folder directly below.

    What runs that were killed left here is stopped and removed first; runs going on at the same
    time keep theirs.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for folder in parent.iterdir():
        _remove_if_abandoned(folder)
    # Not a file inside but the name says whose it is: there is no moment without an owner.
    folder = parent / f"{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir()
    (folder / _OWNER).write_text(f"{identity(os.getpid())}")
    try:
        yield folder
    finally:
        _stop_all(folder)
        shutil.rmtree(folder)


def _remove_if_abandoned(folder: Path) -> None:
    pid = int(folder.name.partition("-")[0])
    living = identity(pid)
    owner = folder / _OWNER
    if living is not None and (not owner.exists() or owner.read_text() == living):
        return
    _stop_all(folder)
    shutil.rmtree(folder, ignore_errors=True)  # another run may be doing the same


def _stop_all(folder: Path) -> None:
    # A whole stack has its servers one level deeper.
    for pid_file in (*folder.glob("*/*.pid"), *folder.glob("*/*/*.pid")):
        if pid_file.name != "postmaster.pid":
            BackgroundProcess(pid_file.parent, pid_file.stem).stop(grace=5)
