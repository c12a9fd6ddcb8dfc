"""Commands that write configuration: ``import-env`` and ``discover``."""

from __future__ import annotations

import json
import os
import shlex
import sys
from argparse import Namespace
from pathlib import Path

from airflow_provider_logmigrate.cli.env_file import read_env_file
from airflow_provider_logmigrate.cli.output import command, show
from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.hooks.connections import from_server
from airflow_provider_logmigrate.hooks.opening import load_config


@command
def import_env(args: Namespace) -> int:
    """Print YAML made from Dify's settings; connections, which hold passwords, go elsewhere."""
    from airflow_provider_logmigrate.config.entities import StoreType
    from airflow_provider_logmigrate.config.import_env import import_dify_environment

    settings = read_env_file(Path(args.env_file)) if args.env_file else dict(os.environ)
    imported = import_dify_environment(settings, engine=StoreType(args.engine))
    if args.connections_file:
        _write_secret(Path(args.connections_file), json.dumps(imported.connections, indent=2))
    if args.output == "json":
        record = {
            "yaml": imported.yaml_text,
            "connections": list(imported.connections),
            "warnings": list(imported.warnings),
        }
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        sys.stdout.write(imported.yaml_text)
    if args.connections_file:
        path = shlex.quote(args.connections_file)
        sys.stderr.write(f"airflow connections import {path}\n")
    else:
        for conn_id, connection in imported.connections.items():
            value = shlex.quote(json.dumps(connection))
            sys.stderr.write(f"airflow connections add {conn_id} --conn-json {value}\n")
    for warning in imported.warnings:
        sys.stderr.write(f"Warning: {warning}\n")
    return 0


def _write_secret(path: Path, text: str) -> None:
    """A new file that only its owner can read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigInvalid(
            f"the file can't be made: {error.strerror}",
            where=str(path),
            next_step="name a file that doesn't exist yet, in a folder that does",
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text + "\n")


@command
def discover(args: Namespace) -> int:
    """Write the tenants of the source into the migration's tenants file.

    The exit code is 1 if a tenant can't stand in that file.
    """
    from airflow_provider_logmigrate.hooks import discovery

    found = discovery.discover(load_config(), args.migration, lookup=from_server)
    title = f"{len(found.tenants)} tenants written to {found.path}"
    show(args, title, ["tenant"], [(name,) for name in found.tenants])
    for tenant in found.left_out:
        sys.stderr.write(
            f"Left out: {tenant!r} can't stand in a line of {found.path}. Next: give the"
            " migration's tenants as a list\n"
        )
    return int(bool(found.left_out))
