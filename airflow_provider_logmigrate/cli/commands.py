"""What the commands do. Every command's exit code is 0 only if all it says is good."""

from __future__ import annotations

import getpass
import json
import logging
import sys
from argparse import Namespace
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.cli.output import command, console, show
from airflow_provider_logmigrate.core.errors import LogMigrateError, TenantInvalid
from airflow_provider_logmigrate.hooks.assembly import workbench
from airflow_provider_logmigrate.hooks.connections import from_server
from airflow_provider_logmigrate.hooks.opening import (
    find_migration,
    load_config,
    open_client,
    open_ledger,
)
from airflow_provider_logmigrate.reports import plan_text, text_table

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Config, Migration
    from airflow_provider_logmigrate.core.certificate import Certificate
    from airflow_provider_logmigrate.ledger.units import UnitState

_ACTION = ("action", "alias", "index")


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
    show(args, "Check", ["what", "state", "detail"], rows)
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
    from airflow_provider_logmigrate.operators.retired import retired_units

    migration = find_migration(load_config(), args.migration)
    params = {
        "streams": [name.strip() for name in args.streams.split(",")] if args.streams else None,
        "from": args.first,
        "to": args.last,
    }
    options = RunOptions.of(migration, params, now=datetime.now(timezone.utc))
    retired: frozenset[str] = frozenset()
    if migration.retention is not None:
        with open_ledger(from_server) as ledger:
            retired = retired_units(migration, ledger)
    with workbench(migration, options.streams, lookup=from_server) as bench:
        made = make_plan(bench, args.tenant, options, retired=retired)
    if args.output == "json":
        sys.stdout.write(json.dumps(made.to_json() | {"hash": made.hash}) + "\n")
    else:
        sys.stdout.write(plan_text(made) + "\n")
    return 0


@command
def status(args: Namespace) -> int:
    """Units with certificates, dead letters and what has left them; cut-overs and runs.

    Documents are those that the certificate counts, before there is one those that were written.
    ``purged rows`` have left the source since, and ``retention`` tells that documents have left the
    target, or may have.
    The exit code is 1 if a unit's certificate says that it differs, or a newest run failed.
    """
    config = load_config()
    chosen = _chosen(config, args.migration)
    report: dict[str, list[dict[str, Any]]] = {"units": [], "cutovers": [], "runs": []}
    with open_ledger(from_server) as ledger:
        for migration in chosen:
            name, tenant = migration.name, args.tenant
            certificates = ledger.certificates.latest_by_unit(name)
            letters = ledger.dead_letters.counts(name)
            purged, aged = ledger.deletions.rows(name), ledger.retentions.units(name)
            for state in ledger.units.states(name, tenant=tenant):
                certificate = certificates.get(state.unit)
                report["units"].append(
                    {
                        "unit": state.unit,
                        "phase": state.phase.value,
                        "documents": _documents(state, certificate),
                        "dead letters": letters.get(state.unit, 0),
                        "purged rows": purged.get(state.unit, 0),
                        "retention": "deleted" if state.unit in aged else None,
                        "certificate": certificate.verdict.value if certificate else None,
                        "proof": certificate.id if certificate else None,
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
    known = {tenant for migration in chosen for tenant in migration.tenants}
    if args.tenant is not None and args.tenant not in known and not any(report.values()):
        raise TenantInvalid("no migration names this tenant", where=args.tenant)
    if args.output == "json":
        sys.stdout.write(json.dumps(report, default=str) + "\n")
    else:
        for title, records in report.items():
            columns = list(records[0]) if records else ["(none)"]
            rows = [list(record.values()) for record in records]
            console().print(text_table(title.capitalize(), columns, rows))
    return int(_is_bad(report))


def _is_bad(report: dict[str, list[dict[str, Any]]]) -> bool:
    newest = {(run["migration"], run["tenant"]): run["outcome"] for run in reversed(report["runs"])}
    differs = any(unit["certificate"] == "different" for unit in report["units"])
    return differs or any(outcome in ("failed", "interrupted") for outcome in newest.values())


def _documents(state: UnitState, certificate: Certificate | None) -> int:
    # A repair writes documents again: what was written is more than what is there.
    if certificate is None or certificate.index != state.index:
        return state.counters.documents
    return certificate.documents


@command
def rollback(args: Namespace) -> int:
    """Undo one cut-over."""
    from airflow_provider_logmigrate.operators.swap import roll_back

    with open_ledger(from_server) as ledger:
        cutover = ledger.cutovers.get(args.cutover)
        if cutover.state.value == "rolled_back":
            sys.stderr.write(f"Cut-over {cutover.id} was rolled back already\n")
            show(args, f"Rolled back {cutover.id}", _ACTION, [])
            return 0
        client = open_client(find_migration(load_config(), cutover.migration), from_server)
        try:
            roll_back(client, ledger, cutover, by=getpass.getuser())
        finally:
            client.close()
    rows = [(action.kind, action.alias, action.index) for action in cutover.inverse]
    show(args, f"Rolled back {cutover.id}", _ACTION, rows)
    return 0


@command
def restore(args: Namespace) -> int:
    """Bring purged units of one tenant back."""
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.operators.restore_units import bring_back, chosen_units

    migration = find_migration(load_config(), args.migration)
    wanted = [key.strip() for key in args.units.split(",")] if args.units else None
    stop = Stop()
    with open_ledger(from_server) as ledger:
        units = chosen_units(ledger, migration, args.tenant, wanted)
        with workbench(migration, migration.streams, lookup=from_server, stop=stop) as bench:
            done = bring_back(
                bench,
                ledger,
                units,
                holder=f"airflow logmigrate restore, {getpass.getuser()}",
                stop=stop,
                log=logging.getLogger(__name__),
            )
    rows = [(o.unit, o.rows, o.batches, o.objects) for o in done]
    show(args, "Restored", ["unit", "rows #", "batches #", "objects #"], rows)
    return 0
