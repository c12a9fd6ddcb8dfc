"""The demo's second part, ``make demo PURGE=1``: proven rows leave the source and come back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from airflow_provider_logmigrate.core.naming import migration_dag_id
from devstack.demo_runs import finish
from devstack.demo_search import search
from devstack.sampledata import DifySchema
from devstack.sampledata.schema import COLUMNS
from devstack.stack import Stack
from devstack.wiring import MIGRATION

FILES = "offloaded files"

TABLE_WIDTH = 110
"""Columns of the table at its longest."""

State = Mapping[str, tuple[int, str]]
"""How many rows a table has, and a digest over every column of all of them; likewise the files."""


def state_of(dsn: str, storage: Path) -> State:
    """The source as it is now: each of its tables, and the object storage."""
    state: dict[str, tuple[int, str]] = {}
    # The sum doesn't depend on the order of the rows.
    query = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {} AS t"
    with psycopg.connect(dsn) as connection:
        for table in COLUMNS[DifySchema.NEW]:
            row = connection.execute(sql.SQL(query).format(sql.Identifier(table))).fetchone()
            assert row is not None
            state[table] = (row[0], row[1])
    files = sorted(path for path in storage.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(storage)} {content}\n".encode())
    return {**state, FILES: (len(files), digest.hexdigest())}


def purge_and_restore(stack: Stack, tenant: str, console: Console) -> dict[str, Any]:
    """Purge a migrated tenant by its DAG, search, restore; the facts for the last line."""
    dsn = stack.postgres.dsn("dify")
    before = state_of(dsn, stack.storage)
    purged = _purge(stack, tenant, console)
    after = state_of(dsn, stack.storage)
    hit = search(stack.search_url, tenant, console, purged_from=dsn)
    restored = _restore(stack, tenant, console)
    back = state_of(dsn, stack.storage)
    # In a narrower window lines wrap, but every number is whole.
    Console(width=max(TABLE_WIDTH, console.width)).print(states_table(before, after, back))
    return purge_facts(before, after, back, purged=purged, restored=restored) | {
        "purged_search_hit": hit
    }


def _purge(stack: Stack, tenant: str, console: Console) -> int:
    """Plan, approve as a person would, delete; rows that the DAG says it deleted."""
    client, name = stack.airflow_client(), migration_dag_id(MIGRATION, "purge")
    client.wait_for_dag(name, seconds=90)
    run = client.trigger(name, conf={"tenant": tenant})
    asked: list[str] = []

    def approve() -> None:
        if not asked and (question := client.question(name, run)) is not None:
            asked.append(question["body"])
            client.answer(name, run, "Approve")

    with console.status(f"Airflow purges tenant {tenant}"):
        finish(client, name, run, meanwhile=approve)
    for question in asked:
        console.print(f"Approved: {question}", soft_wrap=True, markup=False, highlight=False)
        report = client.xcom(name, run, "purge")
        for unit, stayed in report["stayed"].items():
            for reason, count in stayed.items():
                told = f"  {unit}: {count} stay with all that hangs on them: {reason}"
                console.print(told, soft_wrap=True, markup=False, highlight=False)
        return int(sum(report["rows"].values()))
    return 0  # nothing may go, so nobody was asked


def _restore(stack: Stack, tenant: str, console: Console) -> int:
    """Bring everything back; rows that the DAG says it inserted."""
    client, name = stack.airflow_client(), migration_dag_id(MIGRATION, "restore")
    run = client.trigger(name, conf={"tenant": tenant})
    with console.status(f"Airflow restores tenant {tenant}"):
        finish(client, name, run)
    report = client.xcom(name, run, "restore")
    return int(sum(unit["rows"] for unit in report.values()))


def states_table(before: State, after: State, back: State) -> Table:
    """Rows of each table at the three moments, and whether all their columns are as before."""
    table = Table(title="The source", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("table", no_wrap=True)
    for column in ("before", "after the purge", "after the restore"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("every column as before", no_wrap=True)
    for name in before:
        counts = [f"{state[name][0]:,}" for state in (before, after, back)]
        table.add_row(name, *counts, "yes" if before[name] == back[name] else "[red]no[/red]")
    return table


def purge_facts(
    before: State, after: State, back: State, *, purged: int, restored: int
) -> dict[str, Any]:
    """What the database says, and whether the DAGs say the same.

    :param purged: rows that the purge's DAG says it deleted; ``restored`` likewise.
    """
    left = sum(before[name][0] - after[name][0] for name in before if name != FILES)
    return {
        "purged_rows": left,
        "restored_rows": restored,
        "restored_equal": back == before,
        "purge_reported": purged == left,
    }


def purge_shortfalls(facts: Mapping[str, Any]) -> list[str]:
    """What is wrong with the second part, one sentence each; empty if it is whole."""
    problems = []
    if not facts["purged_rows"]:
        problems.append("nothing was purged: the log of the task `plan` says why units stay")
    if not facts["purge_reported"]:
        problems.append(f"{facts['purged_rows']} rows left the source, the purge reports others")
    if not facts["purged_search_hit"]:
        problems.append("the full-text search found none of the purged runs")
    if facts["restored_rows"] != facts["purged_rows"]:
        problems.append(
            f"{facts['purged_rows']} rows were purged, {facts['restored_rows']} restored"
        )
    if not facts["restored_equal"]:
        problems.append("the source isn't what it was: see the table's last column")
    return problems
