"""The main job, whole, on real parts: ``make demo``.

Starts the stack, loads sample data, runs the DAGs of three tenants through Airflow's scheduler,
shows what arrived and proves it by a search; with ``PURGE=1`` one of them then leaves the source
and comes back. Stops the stack. Any shortfall is an exit code.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from airflow_provider_logmigrate.core.naming import dag_id
from devstack.airflow_api import AirflowClient
from devstack.demo_purge import purge_and_restore, purge_shortfalls
from devstack.demo_runs import finish
from devstack.demo_search import search
from devstack.errors import DevstackError
from devstack.paths import BUILD
from devstack.sampledata import PROFILES
from devstack.stack import Stack
from devstack.wiring import MIGRATION, write_config

TABLE_WIDTH = 128
"""Columns of a unit's line at its longest."""


def demo(console: Console, *, purge: bool = False) -> int:
    """Run the demo, alone in this checkout.

    :param purge: then purge the first tenant and restore it.
    :raises DevstackError: another one is running.
    """
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DevstackError(
                "another demo is running in this checkout: wait until it has ended"
            ) from None
        return _demo(console, purge=purge)


def _demo(console: Console, *, purge: bool) -> int:
    """Run the demo; returns the exit code. The last line on standard output is machine-readable.

    It has a folder of its own below ``build/`` and starts from nothing each time; a stack started
    by ``make up`` isn't touched.
    """
    began = time.monotonic()
    profile = PROFILES["demo"]
    stack = Stack(BUILD / "demo", state_file=BUILD / "demo.json")
    stack.down()
    shutil.rmtree(stack.root, ignore_errors=True)
    if purge:
        write_config(stack.config, storage=stack.storage, purge=True)
    purged: dict[str, Any] = {}
    try:
        stack.up(console, profile=profile)
        reports = _migrate(stack.airflow_client(), profile.tenant_ids, console)
        hit = search(stack.search_url, profile.tenant_ids[0], console)
        if purge:
            purged = purge_and_restore(stack, profile.tenant_ids[0], console)
        for name, value in stack.places().items():
            console.print(f"{name:<14} {value}", soft_wrap=True, markup=False, highlight=False)
    finally:
        stack.down(console)
    console.print("`make up` starts a stack that stays")
    totals = _totals(reports) | {
        "seconds": round(time.monotonic() - began, 1),
        "search_hit": hit,
        **purged,
    }
    problems = _shortfalls(totals, expected=stack.loaded_rows)
    for problem in problems:
        console.print(f"[red]{problem}[/red]")
    print(f"DEMO {json.dumps(totals)}", flush=True)
    return 1 if problems else 0


def _migrate(
    client: AirflowClient, tenants: Sequence[str], console: Console
) -> list[dict[str, Any]]:
    """Trigger every tenant's DAG, wait for all, show and return their reports."""
    runs = {}
    for tenant in tenants:
        name = dag_id(MIGRATION, tenant)
        client.wait_for_dag(name, seconds=90)
        runs[name] = client.trigger(name)
    reports = []
    with console.status("") as status:
        for done, (name, run) in enumerate(runs.items()):
            status.update(f"Airflow runs the DAGs of {len(runs)} tenants, {done} done")
            finish(client, name, run)
            reports.append(client.xcom(name, run, "report"))
    # A number must be read whole; in a narrower window the lines wrap.
    wide = Console(width=max(TABLE_WIDTH, console.width))
    for tenant, report in zip(tenants, reports, strict=True):
        wide.print(_table(f"Tenant {tenant}: {report['outcome']}", report["units"]))
    return reports


def _table(title: str, units: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("stream", "month"):
        table.add_column(column, no_wrap=True)
    for column in ("rows", "held back", "documents", "rejected", "docs/s"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("certificate", no_wrap=True)
    for unit in units:
        rate = f"{unit['rate']:,.0f}" if unit["rate"] else "-"
        table.add_row(
            unit["stream"].removeprefix("workflow_"),
            unit["period"],
            *(f"{unit[name]:,}" for name in ("rows", "held_back", "documents", "rejected")),
            rate,
            f"{unit['verdict']} {unit['certificate'][:8]}",
        )
    return table


def _totals(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    units = [unit for report in reports for unit in report["units"]]
    summed = {
        name: sum(unit[name] for unit in units)
        for name in ("rows", "documents", "held_back", "rejected")
    }
    certified = sum(unit["verdict"] == "equal" for unit in units)
    return summed | {"units": len(units), "certified_units": certified}


def _shortfalls(totals: dict[str, Any], *, expected: int) -> list[str]:
    """What is wrong with the result, one sentence each; empty if it is whole."""
    problems = []
    accounted = totals["documents"] + totals["held_back"] + totals["rejected"]
    if totals["rows"] != accounted:
        problems.append(f"{totals['rows']} rows, but {accounted} are accounted for")
    if totals["rows"] != expected:
        problems.append(f"{expected} rows were loaded, the reports know {totals['rows']}")
    if totals["certified_units"] != totals["units"]:
        problems.append(
            f"only {totals['certified_units']} of {totals['units']} units are certified"
        )
    if not totals["search_hit"]:
        problems.append("the full-text search found nothing")
    if "purged_rows" in totals:
        problems += purge_shortfalls(totals)
    if problems:
        problems.append("run `make up` and look at the DAG runs in Airflow's web page")
    return problems
