"""What all commands share: exit codes, errors on one line, tables or JSON."""

from __future__ import annotations

import json
import logging
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from rich.console import Console

from airflow_provider_logmigrate.core.errors import LogMigrateError
from airflow_provider_logmigrate.reports import WIDTH, text_table

Command = Callable[[Namespace], int]


def command(work: Command) -> Callable[[Namespace], None]:
    """Run a command; an expected error becomes one line on standard error and exit code 1."""

    @wraps(work)
    def run(args: Namespace) -> None:
        # What it does to the ledger's schema is no part of a command's answer.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        try:
            code = work(args)
        except LogMigrateError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            code = 1
        if code:
            sys.exit(code)

    return run


def show(
    args: Namespace, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Rows as a table, or as a list of JSON objects."""
    if args.output == "json":
        names = [column.rstrip("# ").replace(" ", "_") for column in columns]
        records = [dict(zip(names, row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps(records, default=str) + "\n")
    else:
        console().print(text_table(title, columns, rows))


def console() -> Console:
    """Wide enough for names of indices where no terminal says how wide it is."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDTH)
