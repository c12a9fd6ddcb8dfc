"""The commands' arguments, and that each name leads to a function."""

from __future__ import annotations

import argparse
import importlib

import pytest
from airflow.cli.cli_config import ActionCommand, GroupCommand

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
    (group,) = get_cli()
    assert isinstance(group, GroupCommand)
    names = [command.name for command in group.subcommands]
    assert names == [
        *("check", "plan", "status", "rollback", "restore", "certificate", "verify"),
        *("import-env", "discover", "dead-letters"),
    ]
    nested = [each for each in group.subcommands if isinstance(each, GroupCommand)]
    assert [each.name for each in nested[0].subcommands] == ["list", "show", "waive", "redrive"]
    actions = [each for each in group.subcommands if isinstance(each, ActionCommand)]
    actions += [each for each in nested[0].subcommands if isinstance(each, ActionCommand)]
    assert len(actions) == len(names) - 1 + 4
    for action in actions:
        # A command is loaded when it is called; its closure knows the path.
        (path,) = [
            cell.cell_contents
            for cell in getattr(action.func, "__closure__", ()) or ()
            if isinstance(cell.cell_contents, str)
        ]
        module, _, function = path.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function))


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
        (["verify", "--certificate", "c"], {"certificate": "c", "output": "table"}),
        (["verify"], None),
        (["certificate", "c"], {"certificate": "c"}),
        (
            ["dead-letters", "list", "--migration", "m", "--reason", "x"],
            {"migration": "m", "tenant": None, "reason": "x", "state": "open", "limit": 100},
        ),
        (["dead-letters", "list"], None),
        (["dead-letters", "waive", "1", "2", "--why", "w"], {"id": [1, 2], "why": "w"}),
        (["dead-letters", "waive", "1"], None),
        (["dead-letters", "redrive", "--migration", "m"], None),
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
