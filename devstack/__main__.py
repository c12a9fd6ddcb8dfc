"""``python -m devstack up | down | status | demo | airflow``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from devstack.errors import DevstackError
from devstack.sampledata import PROFILES
from devstack.stack import Stack, nearby

NOT_RUNNING = 3
"""Exit code of ``status`` when not every process runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m devstack")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start PostgreSQL, OpenSearch and Airflow; print where they are")
    commands.add_parser("down", help="stop them, keeping their data")
    commands.add_parser("status", help=f"say what runs; exit code {NOT_RUNNING} unless all does")
    demo = commands.add_parser(
        "demo", help="migrate sample data through Airflow and show the result"
    )
    demo.add_argument("--purge", action="store_true", help="then purge a tenant and restore it")
    airflow = commands.add_parser("airflow", help="run airflow's command line in the stack")
    airflow.add_argument("arguments", nargs=argparse.REMAINDER, help="for example: dags list")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        return _run(options, console)
    except DevstackError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; 'make down' stops whatever still runs")
        return 130


def _run(options: argparse.Namespace, console: Console) -> int:
    command = options.command
    if command == "demo":
        from devstack.demo import demo

        return demo(console, purge=options.purge)
    stack = Stack()
    if command == "airflow":
        return stack.airflow().pass_on(options.arguments)
    if command == "up":
        stack.up(console, profile=PROFILES["demo"])
        for name, value in stack.places().items():
            # A copied address must come out in one piece, whatever the width of the window.
            console.print(f"{name:<14} {value}", soft_wrap=True, markup=False, highlight=False)
        return 0
    if command == "down":
        stack.down(console)
        return 0
    return 0 if _show_status(console, stack) else NOT_RUNNING


def _show_status(console: Console, stack: Stack) -> bool:
    """A table of the processes; whether all of them run."""
    table = Table("process", "state", "pid", "log", box=None)
    pids = {process.name: process.pid for process in stack.processes()}
    for process in stack.processes():
        pid = pids[process.name]
        state = "[green]running[/]" if pid is not None else "[red]stopped[/]"
        table.add_row(process.name, state, str(pid or ""), nearby(process.log))
    console.print(table)
    return all(pid is not None for pid in pids.values())


if __name__ == "__main__":
    sys.exit(main())
