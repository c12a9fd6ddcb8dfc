"""The parent's side of a measured process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from benchmarks.errors import BenchmarkError
from devstack.errors import last_lines
from devstack.paths import CHECKOUT

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a job's work cost.

    :param cpu: seconds of the process's own processor time, all threads.
    :param backend: the same of the source's backends.
    :param engine: the same of the engine.
    :param idle_mb: resident memory before the work.
    :param peak_mb: most resident memory during the work.
    :param found: the job's own answer.
    """

    seconds: float
    cpu: float
    idle_mb: float
    peak_mb: float
    found: Any
    backend: float = 0.0
    engine: float = 0.0

    @property
    def grown_mb(self) -> float:
        """Peak over idle size."""
        return self.peak_mb - self.idle_mb


class Child:
    """One process of ``benchmarks.jobs``; killed at the end if it still runs.

    :param log: what the job writes to stderr is appended here.
    :param env: further variables.
    """

    def __init__(
        self, spec: Mapping[str, Any], *, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._job = str(spec["job"])
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.jobs"],
                cwd=CHECKOUT,
                env={**_environment(), **(env or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._say(json.dumps(spec))
        self._hear()

    def go(self) -> None:
        """Start the work."""
        self._say("go")

    def cost(self) -> Cost:
        """Wait for the end of the work. :raises BenchmarkError: it failed."""
        found = Cost(**json.loads(self._hear()))
        if self._process.wait() != 0:
            raise self._failed()
        return found

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._failed() from error

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failed()
        return line

    def _failed(self) -> BenchmarkError:
        code = self._process.wait()
        return BenchmarkError(f"job {self._job} ended with {code}; {last_lines(self._log)}")


def _environment() -> dict[str, str]:
    """The caller's, without what would change measured programs: proxies and Airflow settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy")
        and not name.startswith("AIRFLOW")
        and name != "PYTHONDONTWRITEBYTECODE"
    }
