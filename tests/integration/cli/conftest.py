"""``airflow logmigrate …`` as people call it: a process of its own, exit code and both streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tests.unit.operators.airflow_home  # noqa: F401
from tests.integration.operators.fixtures import (
    airflow_quiet,
    ledger_database,
    stage,
    stage_on,
)

__all__ = ["airflow_quiet", "ledger_database", "stage", "stage_on"]


@dataclass(frozen=True)
class Said:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be JSON and nothing else."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line of an expected failure."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        return line


class Cli:
    """Runs commands with a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "COLUMNS": "200",
        }

    def airflow(self, *words: str) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def __call__(self, *words: str) -> Said:
        return self.airflow("logmigrate", *words)


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return Cli(tmp_path_factory.mktemp("airflow"))
