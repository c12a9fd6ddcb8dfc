"""Compiles the engines' small Java launchers, once per content."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from devstack.errors import DevstackError
from devstack.java import find_java
from devstack.paths import CACHE

_LANGUAGE_LEVEL = "21"


def class_path(jars: Sequence[Path]) -> str:
    """The jars as Java's ``-cp`` wants them."""
    return os.pathsep.join(map(str, jars))


def compile_classes(source: Path, jars: Sequence[Path]) -> Path:
    """
    Compile one source file against the jars, which hold the compiler too.

    :return: the folder of class files; made in one move, so it is either whole or missing.
    """
    digest = hashlib.sha256(source.read_bytes())
    digest.update("\n".join(jar.name for jar in jars).encode())
    target = CACHE / "classes" / f"{source.parent.name}-{source.stem}-{digest.hexdigest()[:16]}"
    if target.exists():
        return target
    compiler = next(jar for jar in jars if jar.name.startswith("ecj-"))
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=".compile-"))
    draft.chmod(0o755)
    level = ["-source", _LANGUAGE_LEVEL, "-target", _LANGUAGE_LEVEL]
    done = subprocess.run(
        [
            find_java().program,
            "-XX:-UsePerfData",
            "-jar",
            compiler,
            "-nowarn",
            *level,
            "-cp",
            class_path(jars),
            "-d",
            draft,
            source,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(draft)
        raise DevstackError(f"{source} does not compile:\n{done.stdout}{done.stderr}")
    try:
        draft.rename(target)
    except OSError:
        # Another process was quicker; its result is the same.
        shutil.rmtree(draft)
    return target
