"""``airflow logmigrate certificate`` and ``verify``: what was proven, and if it still holds."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from airflow_provider_logmigrate.cli.output import command, show
from airflow_provider_logmigrate.core.unit import Unit
from airflow_provider_logmigrate.hooks.assembly import workbench
from airflow_provider_logmigrate.hooks.connections import from_server
from airflow_provider_logmigrate.hooks.opening import find_migration, load_config, open_ledger
from airflow_provider_logmigrate.reports import certificate_text


@command
def certificate(args: Namespace) -> int:
    """Show one certificate; the exit code says that it was found, not what it says."""
    with open_ledger(from_server) as ledger:
        migration, found = ledger.certificates.get(args.certificate)
    if args.output == "json":
        sys.stdout.write(json.dumps({"migration": migration} | found.to_json()) + "\n")
        return 0
    sys.stdout.write(certificate_text(found) + "\n")
    for side, how in found.by_hand.items():
        lines = [*how["settings"], how["sql"]] if "sql" in how else [json.dumps(how, indent=1)]
        sys.stdout.write("\n".join(["", f"{side}:", *lines, ""]))
    return 0


@command
def verify(args: Namespace) -> int:
    """Prove the unit again, as closely as the certificate did; stores nothing."""
    from airflow_provider_logmigrate.operators.reprove import certified_plan, prove_again

    with open_ledger(from_server) as ledger:
        name, found = ledger.certificates.get(args.certificate)
        migration = find_migration(load_config(), name)
        streams = [migration.stream(Unit.from_key(found.unit).stream)]
        with workbench(migration, streams, lookup=from_server) as bench:
            again = prove_again(bench, ledger, certified_plan(bench, ledger, found), found)
    findings = [(f.kind.value, f.key, f.detail) for f in again.proof.tally.listed]
    if args.output == "json":
        report: dict[str, Any] = {
            "certificate": found.to_json(),
            "holds": again.holds,
            "verdict": again.proof.verdict.value,
            "differences": list(again.differences),
            "counts": dict(again.proof.tally.counts),
            "findings": findings,
        }
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        said = "is true" if again.holds else "doesn't hold"
        sys.stdout.write(f"{found.unit}: certificate {found.id} {said}\n")
        for line in again.differences:
            sys.stdout.write(f"{line}\n")
        if findings:
            show(args, "Findings", ("finding", "key", "detail"), findings)
    return int(not again.holds)
