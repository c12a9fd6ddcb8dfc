"""Jars from Maven Central, exactly those of a lock file.

The lock is plain text, one ``group:artifact:version[:classifier] sha256`` a line, so that it names
no server: a mirror can stand in, and what it serves is checked against the lock every time.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import DevstackError
from devstack.paths import CACHE

JAR_CACHE = CACHE / "jars"
Progress = Callable[[int, int], None]
"""Called with (jars there, jars in all)."""

_ATTEMPTS = 3
_PARALLEL = 8


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of a lock."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name Maven gives the file."""
        parts = [self.artifact, self.version, self.classifier]
        return "-".join(part for part in parts if part) + ".jar"


def read_lock(lock: Path) -> list[Jar]:
    """The jars a lock names, in its order."""
    jars = []
    for number, line in enumerate(lock.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        coordinates, _, digest = line.partition(" ")
        parts = coordinates.split(":")
        if len(parts) not in (3, 4) or len(digest) != 64:
            raise DevstackError(
                f"{lock}, line {number}: expected 'group:artifact:version[:classifier] sha256', "
                f"found {line!r}"
            )
        group, artifact, version, *classifier = parts
        jars.append(Jar(group, artifact, version, "".join(classifier), digest))
    return jars


def fetch(lock: Path, *, into: Path = JAR_CACHE, on_progress: Progress | None = None) -> list[Path]:
    """
    Make sure every jar of the lock is there and is the right one; download what isn't.

    :param on_progress: called after each jar, from this thread.
    :return: the files, in the lock's order.
    :raises DevstackError: a jar could not be had or its checksum differs.
    """
    jars = read_lock(lock)
    into.mkdir(parents=True, exist_ok=True)
    files = []
    with (
        tempfile.TemporaryDirectory(dir=into, prefix=".fetch-") as scratch,
        ThreadPoolExecutor(_PARALLEL) as pool,
    ):
        for file in pool.map(lambda jar: _ensure(jar, into, Path(scratch)), jars):
            files.append(file)
            if on_progress is not None:
                on_progress(len(files), len(jars))
    return files


def _ensure(jar: Jar, into: Path, scratch: Path) -> Path:
    target = into / jar.file_name
    if target.exists() and _sha256(target) == jar.sha256:
        return target
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            # A folder per attempt: the resolver would take a broken download for a finished one.
            fetched = _download(jar, scratch / str(attempt))
            break
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
            if attempt == _ATTEMPTS:
                raise DevstackError(
                    f"could not download {jar.file_name} ({jar.group}) from Maven Central after "
                    f"{_ATTEMPTS} attempts: {error}. Check the network and run the same command "
                    "again; behind a proxy set HTTPS_PROXY, and REQUESTS_CA_BUNDLE if it has a "
                    "certificate of its own"
                ) from error
            time.sleep(attempt)
    found = _sha256(fetched)
    if found != jar.sha256:
        raise DevstackError(
            f"{jar.file_name} was downloaded but is not the file of the lock: sha256 {found}, "
            f"expected {jar.sha256}. Nothing was kept; look at the mirror or proxy in between"
        )
    fetched.replace(target)
    return target


def _download(jar: Jar, repository: Path) -> Path:
    from jgo.maven import MavenContext, PythonResolver

    context = MavenContext(resolver=PythonResolver(), repo_cache=repository, timeout=60)
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact(jar.classifier, "jar").resolve())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
