"""``airflow logmigrate dead-letters``: list, show, waive, redrive."""

from __future__ import annotations

import getpass
import json
import logging
import sys
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.cli.output import command, show
from airflow_provider_logmigrate.hooks.assembly import workbench
from airflow_provider_logmigrate.hooks.connections import from_server
from airflow_provider_logmigrate.hooks.opening import find_migration, load_config, open_ledger

if TYPE_CHECKING:
    from airflow_provider_logmigrate.ledger.dead_letters import DeadLetter

_COLUMNS = ("id", "unit", "key", "kind", "reason", "tries #", "state", "who", "updated", "why")


@command
def list_letters(args: Namespace) -> int:
    """Dead letters of a migration without their documents."""
    from airflow_provider_logmigrate.ledger.dead_letters import LetterState
    from airflow_provider_logmigrate.operators.redrive_choice import choice_of

    migration = find_migration(load_config(), args.migration)
    choice = choice_of(migration, tenant=args.tenant, units=_names(args.units), reason=args.reason)
    state = None if args.state == "all" else LetterState(args.state)
    with open_ledger(from_server) as ledger:
        found = ledger.dead_letters.list(migration.name, choice, state=state, limit=args.limit)
    _table(args, "Dead letters", found)
    return 0


@command
def show_letter(args: Namespace) -> int:
    """One dead letter with its document."""
    with open_ledger(from_server) as ledger:
        migration, letter = ledger.dead_letters.get(args.id)
        document = (ledger.dead_letters.document(args.id) or b"").decode("utf-8", "replace")
    record = {"migration": migration} | asdict(letter) | {"state": letter.state.value}
    if args.output == "json":
        sys.stdout.write(json.dumps(record | {"document": document}, default=str) + "\n")
    else:
        rows = [(name, str(value)) for name, value in record.items()]
        show(args, f"Dead letter {args.id}", ("field", "value"), rows)
        sys.stdout.write(document + "\n")
    return 0


@command
def waive_letters(args: Namespace) -> int:
    """Accept that documents stay away, with a reason."""
    with open_ledger(from_server) as ledger:
        waived = ledger.dead_letters.waive(args.id, why=args.why)
    _table(args, "Waived", waived)
    return 0


@command
def redrive_letters(args: Namespace) -> int:
    """Send open dead letters again."""
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.operators.redrive_choice import choice_of, told
    from airflow_provider_logmigrate.operators.redrive_units import redrive

    migration, stop = find_migration(load_config(), args.migration), Stop()
    choice = choice_of(
        migration,
        tenant=args.tenant,
        streams=_names(args.streams),
        units=_names(args.units),
        reason=args.reason,
    )
    with (
        open_ledger(from_server) as ledger,
        workbench(migration, migration.streams, lookup=from_server, stop=stop) as bench,
    ):
        done = redrive(
            bench,
            ledger,
            choice,
            holder=f"airflow logmigrate dead-letters redrive, {getpass.getuser()}",
            stop=stop,
            log=logging.getLogger(__name__),
        )
    columns = ("unit", "letters #", "arrived #", "refused #", "left #", "verdict", "certificate")
    rows = [
        (f.unit, f.letters, f.arrived, f.refused, f.left, f.verdict, f.certificate, f.why)
        for f in done
    ]
    show(args, "Redriven", (*columns, "why"), rows)
    if not (good := all(found.good for found in done)):
        sys.stderr.write(f"{told(done)}\n")
    return int(not good)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _table(args: Namespace, title: str, letters: Iterable[DeadLetter]) -> None:
    rows: Any = [
        (
            *(letter.id, letter.unit, letter.key, letter.kind, letter.reason, letter.tries),
            *(letter.state.value, letter.who, f"{letter.updated_at:%Y-%m-%d %H:%M:%S}", letter.why),
        )
        for letter in letters
    ]
    show(args, title, _COLUMNS, rows)
