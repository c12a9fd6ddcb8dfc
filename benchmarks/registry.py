"""All sections, in the order of the table."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from benchmarks.errors import BenchmarkError
from benchmarks.section import Section
from benchmarks.settings import Settings

NAMES = (
    "copy_shared",
    "copy_pinned",
    "vs_offset_bulk",
    "vs_parallel_bulk",
    "cpu_python",
    "cpu_postgres",
    "rss_100k",
    "rss_1m",
    "rss_wide",
    "proof_fingerprint",
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
    "strategy_choice",
    "plan_estimate",
    "parse_1000",
    "parse_task",
    "airflow_empty",
    "unit_gap",
    "engine_options",
)


def load(name: str) -> Section:
    """One section."""
    found: Section = importlib.import_module(f"benchmarks.sections.{name}").SECTION
    return found


def chosen(only: Sequence[str], settings: Settings) -> list[Section]:
    """The sections to run.

    :param only: names; empty for all that fit into a usual run.
    :raises BenchmarkError: an unknown name.
    """
    unknown = [name for name in only if name not in NAMES]
    if unknown:
        raise BenchmarkError(f"no such section: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    sections = [load(name) for name in NAMES]
    if only:
        return [section for section in sections if section.name in only]
    return [section for section in sections if settings.full or not section.full_only]
