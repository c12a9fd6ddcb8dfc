"""Load sample data from the command line; see ``--help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psycopg2

from devstack.errors import DevstackError
from devstack.sampledata.load import LoadSummary, load
from devstack.sampledata.profiles import PROFILES, Profile
from devstack.sampledata.schema import STREAM_TABLES, DifySchema


def main(arguments: Sequence[str] | None = None) -> int:
    """Load a profile; 0 when everything is in, 1 when nothing is, with the reason on stderr."""
    options = _parser().parse_args(arguments)
    try:
        profile = _profile(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        summary = load(
            options.dsn,
            profile,
            DifySchema(options.schema),
            options.files,
            _show_progress if sys.stderr.isatty() else None,
        )
    except (DevstackError, psycopg2.Error, OSError) as error:
        print(f"error: sample data {profile.name!r} not loaded: {error}", file=sys.stderr)
        return 1
    _show(summary)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devstack.sampledata",
        description="Fill a PostgreSQL database with generated Dify logs.",
    )
    parser.add_argument("--dsn", required=True, help="connection string of the database")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="demo")
    parser.add_argument("--schema", choices=[s.value for s in DifySchema], default="new")
    parser.add_argument(
        "--files", type=Path, required=True, help="folder that stands for the object storage"
    )
    parser.add_argument("--seed", type=int, help="another seed: other data of the same kind")
    parser.add_argument("--tenants", type=int, help="another number of tenants")
    parser.add_argument("--months", type=int, help="another number of months")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of runs")
    return parser


def _profile(options: argparse.Namespace) -> Profile:
    profile = PROFILES[options.profile]
    given = {
        name: getattr(options, name)
        for name in ("seed", "tenants", "months")
        if getattr(options, name) is not None
    }
    return replace(profile, runs_per_month=round(profile.runs_per_month * options.scale), **given)


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done:>9,} of about {total:,} rows", end="", file=sys.stderr, flush=True)
    if done == total:
        print(file=sys.stderr)


def _show(summary: LoadSummary) -> None:
    counts, profile = summary.counts, summary.profile
    streams = sum(table in STREAM_TABLES for table in counts.rows)
    print(f"{'table':<34} {'tenant':<36} {'month':<8} {'rows':>8} {'unsettled':>10}")
    for (table, tenant, month), unit in counts.units.items():
        print(f"{table:<34} {tenant:<36} {month:<8} {unit.rows:>8,} {unit.unsettled:>10,}")
    for table, number in counts.rows.items():
        if table not in STREAM_TABLES:
            print(f"{table:<80} {number:>8,}")
    print(
        f"{counts.stream_rows:,} rows of {streams} streams ({counts.unsettled:,} unsettled), "
        f"{len(counts.files)} files, profile {profile.name!r}, seed {profile.seed}, "
        f"{summary.copied_bytes / 1e6:.0f} MB in {summary.seconds:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
