"""The harness on small data: every kind of measured process runs, and the file has its format.

Ratios of so few rows mean nothing and aren't looked at.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.__main__ import main

SECTIONS = (
    "copy_shared",
    "vs_offset_bulk",
    "cpu_python",
    "cpu_postgres",
    "rss_100k",
    "proof_sample",
    "proof_full",
    "reconcile_equal",
    "reconcile_drift",
    "resume_reread",
    "purge_vs_batched",
    "purge_probe_p95",
    "restore_rate",
    "purge_vs_scans",
    "sweep",
    "plan_estimate",
    "parse_task",
)


@pytest.mark.timeout(900)  # some forty processes, each of which imports Airflow
def test_small_run(server_root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = server_root / "bench"
    code = main(
        ["--root", str(root), "--scale", "0.003", "--repeats", "1", "--only", ",".join(SECTIONS)]
    )
    shown = capfd.readouterr()
    assert code == 0, shown.err
    stored = json.loads((root / "results.json").read_text())
    assert set(stored) == {"machine", "commit", "sections"}
    assert "Python" in stored["machine"]
    found = results.read(root / "results.json")
    assert [result.name for result in found] == list(SECTIONS)
    for result in found:
        assert all(math.isfinite(run) for run in (result.value, *result.ours, *result.other))
    assert all(result.name in shown.out for result in found)
    assert not list(root.glob("*/*.pid")), "a server was left running"


def test_unknown_section(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "--only", "speed"]) == 2
    assert "no such section: speed" in capfd.readouterr().err
