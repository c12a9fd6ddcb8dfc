"""What the commands do. Every command's exit code is 0 only if all it says is good."""

from __future__ import annotations

import getpass
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from airflow_provider_logmigrate.core.errors import ConfigInvalid, LogMigrateError
from airflow_provider_logmigrate.hooks.assembly import (
    find_migration,
    load_config,
    open_client,
    open_ledger,
    workbench,
)
from airflow_provider_logmigrate.hooks.connections import from_server
from airflow_provider_logmigrate.reports import WIDTH, plan_text, text_table

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Config, Migration

Command = Callable[[Namespace], int]


def command(work: Command) -> Callable[[Namespace], None]:
    """Run a command; an expected error becomes one line on standard error and exit code 1."""

    @wraps(work)
    def run(args: Namespace) -> None:
        try:
            code = work(args)
        except LogMigrateError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            code = 1
        if code:
            sys.exit(code)

    return run


def _show(
    args: Namespace, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    if args.output == "json":
        names = [column.rstrip("# ").replace(" ", "_") for column in columns]
        records = [dict(zip(names, row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps(records, default=str) + "\n")
    else:
        _console().print(text_table(title, columns, rows))


def _console() -> Console:
    """Wide enough for names of indices where no terminal says how wide it is."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def _chosen(config: Config, name: str | None) -> list[Migration]:
    return [find_migration(config, name)] if name else list(config.migrations.values())


@command
def check(args: Namespace) -> int:
    """Configuration, ledger, and per migration its source, privileges and target."""
    config = load_config()
    rows: list[tuple[str, str, str]] = [
        (problem.path, "wrong", problem.message) for problem in config.problems
    ]
    rows.append(_tried("ledger", lambda: f"PostgreSQL {_ledger_version()}"))
    for migration in _chosen(config, args.migration):
        rows.append(_tried(f"{migration.name} target", lambda m=migration: _target(m)))  # type: ignore[misc]
        rows.append(_tried(f"{migration.name} source", lambda m=migration: _source(m)))  # type: ignore[misc]
    _show(args, "Check", ["what", "state", "detail"], rows)
    return int(any(state != "good" for _, state, _ in rows))


def _tried(what: str, work: Callable[[], str]) -> tuple[str, str, str]:
    try:
        return what, "good", work()
    except LogMigrateError as error:
        return what, "wrong", str(error)


def _ledger_version() -> str:
    with open_ledger(from_server) as ledger:
        return ledger.check()


def _target(migration: Migration) -> str:
    client = open_client(migration, from_server)
    try:
        info = client.info()
    finally:
        client.close()
    return f"{info.flavour.value} {info.version}"


def _source(migration: Migration) -> str:
    with workbench(migration, migration.streams, lookup=from_server) as bench:
        read = [f"{s.shape.stream.name} {s.strategy.value}" for s in bench.setups]
        notes = dict.fromkeys(note for s in bench.setups for note in s.notes)
    return "; ".join([", ".join(read), *notes])


@command
def plan(args: Namespace) -> int:
    """The plan of one tenant."""
    from airflow_provider_logmigrate.operators.options import RunOptions
    from airflow_provider_logmigrate.operators.planning import make_plan

    migration = find_migration(load_config(), args.migration)
    params = {
        "streams": [name.strip() for name in args.streams.split(",")] if args.streams else None,
        "from": args.first,
        "to": args.last,
    }
    options = RunOptions.of(migration, params, now=datetime.now(timezone.utc))
    with workbench(migration, options.streams, lookup=from_server) as bench:
        made = make_plan(bench, args.tenant, options)
    if args.output == "json":
        sys.stdout.write(json.dumps(made.to_json() | {"hash": made.hash}) + "\n")
    else:
        sys.stdout.write(plan_text(made) + "\n")
    return 0


@command
def status(args: Namespace) -> int:
    """Units with certificates and dead letters; cut-overs and runs.

    The exit code is 1 if a unit's certificate says that it differs, or a newest run failed.
    """
    config = load_config()
    report: dict[str, list[dict[str, Any]]] = {"units": [], "cutovers": [], "runs": []}
    with open_ledger(from_server) as ledger:
        for migration in _chosen(config, args.migration):
            name, tenant = migration.name, args.tenant
            certificates = ledger.certificates.latest_by_unit(name)
            letters = ledger.dead_letters.counts(name)
            for state in ledger.units.states(name, tenant=tenant):
                certificate = certificates.get(state.unit)
                report["units"].append(
                    {
                        "unit": state.unit,
                        "phase": state.phase.value,
                        "documents": state.counters.documents,
                        "dead letters": letters.get(state.unit, 0),
                        "certificate": certificate.verdict.value if certificate else None,
                        "index": state.index,
                        "updated": f"{state.updated_at:%Y-%m-%d %H:%M:%S}",
                    }
                )
            report["cutovers"] += [
                {
                    "cutover": c.id,
                    "tenant": c.tenant,
                    "state": c.state.value,
                    "actions": len(c.actions),
                    "applied": c.applied_at and f"{c.applied_at:%Y-%m-%d %H:%M:%S}",
                }
                for c in ledger.cutovers.list(name, tenant=tenant)
            ]
            report["runs"] += [
                {
                    "run": r.id,
                    "migration": r.migration,
                    "tenant": r.tenant,
                    "outcome": r.outcome.value,
                }
                for r in ledger.runs.list(name, tenant=tenant)
            ]
    if args.output == "json":
        sys.stdout.write(json.dumps(report, default=str) + "\n")
    else:
        for title, records in report.items():
            columns = list(records[0]) if records else ["(none)"]
            rows = [list(record.values()) for record in records]
            _console().print(text_table(title.capitalize(), columns, rows))
    return int(_is_bad(report))


def _is_bad(report: dict[str, list[dict[str, Any]]]) -> bool:
    newest = {(run["migration"], run["tenant"]): run["outcome"] for run in reversed(report["runs"])}
    differs = any(unit["certificate"] == "different" for unit in report["units"])
    return differs or any(outcome in ("failed", "interrupted") for outcome in newest.values())


@command
def rollback(args: Namespace) -> int:
    """Undo one cut-over."""
    from airflow_provider_logmigrate.operators.swap import roll_back

    with open_ledger(from_server) as ledger:
        cutover = ledger.cutovers.get(args.cutover)
        if cutover.state.value == "rolled_back":
            sys.stdout.write(f"Cut-over {cutover.id} was rolled back already\n")
            return 0
        client = open_client(find_migration(load_config(), cutover.migration), from_server)
        try:
            roll_back(client, ledger, cutover, by=getpass.getuser())
        finally:
            client.close()
    rows = [(action.kind, action.alias, action.index) for action in cutover.inverse]
    _show(args, f"Rolled back {cutover.id}", ["action", "alias", "index"], rows)
    return 0


@command
def import_env(args: Namespace) -> int:
    """Print YAML and connections made from Dify's settings."""
    from airflow_provider_logmigrate.config.import_env import import_dify_environment

    settings = _read_env_file(Path(args.env_file)) if args.env_file else dict(os.environ)
    imported = import_dify_environment(settings)
    if args.output == "json":
        record = {
            "yaml": imported.yaml_text,
            "connections": imported.connections,
            "warnings": list(imported.warnings),
        }
        sys.stdout.write(json.dumps(record) + "\n")
        return 0
    sys.stdout.write(imported.yaml_text)
    for conn_id, connection in imported.connections.items():
        sys.stdout.write(
            f"# airflow connections add {conn_id} --conn-json '{json.dumps(connection)}'\n"
        )
    for warning in imported.warnings:
        sys.stderr.write(f"Warning: {warning}\n")
    return 0


def _read_env_file(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigInvalid(f"can't read the file: {error.strerror}", where=str(path)) from error
    settings = {}
    for line in lines:
        name, sign, value = line.strip().removeprefix("export ").partition("=")
        if sign and not name.startswith("#"):
            settings[name.strip()] = value.strip().strip("\"'")
    return settings


@command
def discover(args: Namespace) -> int:
    """Write the tenants of the source into the migration's tenants file."""
    from airflow_provider_logmigrate.hooks import discovery

    found, path = discovery.discover(load_config(), args.migration, lookup=from_server)
    _show(args, f"{len(found)} tenants written to {path}", ["tenant"], [(name,) for name in found])
    return 0
