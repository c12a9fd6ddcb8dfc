"""The commands' arguments, and that each name leads to a function."""

from __future__ import annotations

import argparse
import importlib

import pytest

from airflow_provider_logmigrate.cli.definition import get_cli


def parser() -> argparse.ArgumentParser:
    from airflow.cli.cli_config import GroupCommand
    from airflow.cli.cli_parser import _add_command

    built = argparse.ArgumentParser(prog="airflow")
    subparsers = built.add_subparsers(dest="subcommand")
    for command in get_cli():
        assert isinstance(command, GroupCommand)
        _add_command(subparsers, command)
    return built


def test_every_command_leads_to_a_function() -> None:
    commands = importlib.import_module("airflow_provider_logmigrate.cli.commands")
    (group,) = get_cli()
    names = [command.name for command in group.subcommands]  # type: ignore[union-attr]
    assert names == ["check", "plan", "status", "rollback", "restore", "import-env", "discover"]
    for name in names:
        assert callable(getattr(commands, name.replace("-", "_")))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["check"], {"migration": None, "output": "table"}),
        (
            ["plan", "--migration", "m", "--tenant", "-x", "--from", "2025-01-01", "-o", "json"],
            None,
        ),
        (
            ["plan", "--migration", "m", "--tenant=-x", "--from", "2025-01-01", "-o", "json"],
            {"migration": "m", "tenant": "-x", "first": "2025-01-01", "last": None},
        ),
        (["plan", "--tenant", "t"], None),
        (["rollback", "abc"], {"cutover": "abc", "output": "table"}),
        (["rollback"], None),
        (["status", "-o", "xml"], None),
        (["import-env", "--connections-file", "f"], {"env_file": None, "connections_file": "f"}),
        (["discover", "m"], {"migration": "m"}),
    ],
)
def test_arguments(words: list[str], wanted: dict[str, object] | None) -> None:
    if wanted is None:
        with pytest.raises(SystemExit) as left:
            parser().parse_args(["logmigrate", *words])
        assert left.value.code == 2
    else:
        given = vars(parser().parse_args(["logmigrate", *words]))
        assert {name: given[name] for name in wanted} == wanted
