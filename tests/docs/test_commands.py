"""Commands in the documentation exist, with the flags and values that are shown."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest
import yaml

from airflow_provider_logmigrate.cli.definition import get_cli
from airflow_provider_logmigrate.config.entities import StoreType
from airflow_provider_logmigrate.config.loader import load
from airflow_provider_logmigrate.core.naming import dag_id
from airflow_provider_logmigrate.operators.options import RunOptions
from tests.docs.pages import PAGES, page

if TYPE_CHECKING:
    from airflow.cli.cli_config import ActionCommand, GroupCommand

OURS = ("airflow", "logmigrate")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _commands() -> Sequence[ActionCommand]:
    (group,) = get_cli()
    return cast("Sequence[ActionCommand]", cast("GroupCommand", group).subcommands)


def _parser() -> argparse.ArgumentParser:
    """The parser that Airflow builds from our definition."""
    parser = _Parser(prog=" ".join(OURS), add_help=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in _commands():
        sub = commands.add_parser(command.name, add_help=False)
        for argument in getattr(command, "args", ()):
            argument.add_to_parser(sub)
        nested = getattr(command, "subcommands", ())
        below = sub.add_subparsers(required=True) if nested else None
        for each in nested:
            assert below is not None
            under = below.add_parser(each.name, add_help=False)
            for argument in each.args:
                argument.add_to_parser(under)
    return parser


def _lines(text: str) -> Iterator[list[str]]:
    """The words of each command of a shell script; here-strings in quotes stay one word."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&\n")
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    words: list[str] = []
    for token in lexer:
        if token and set(token) <= set(";|&\n"):
            if words:
                yield words
            words = []
        elif token == ">":
            next(lexer)  # the file that output goes to
        else:
            words.append(token)
    if words:
        yield words


def _scripts() -> Iterator[tuple[str, list[str]]]:
    for each in PAGES:
        for block in each.of("bash"):
            for words in _lines(block.text.replace("\\\n", " ")):
                yield block.where, words
        for code in each.inline:
            if code.startswith("airflow "):
                yield str(each), shlex.split(code)


OWN = [
    (where, words[2:])
    for where, words in _scripts()
    # In prose a bare name, without the arguments it wants, only names the command.
    if tuple(words[:2]) == OURS
    and (":" in where or len(words) > 3 + (words[2:3] == ["dead-letters"]))
]
NAMED = {words[2] for _, words in _scripts() if tuple(words[:2]) == OURS and len(words) > 2}
AIRFLOWS = [
    (where, words)
    for where, words in _scripts()
    if words[0] == "airflow" and words[1] != "logmigrate"
]


@pytest.mark.parametrize(("where", "words"), OWN, ids=[f"{w}-{' '.join(a)[:40]}" for w, a in OWN])
def test_our_commands_take_what_is_shown(where: str, words: list[str]) -> None:
    if words == ["--help"]:
        return

    _parser().parse_args(words)


def test_every_command_of_ours_is_documented() -> None:
    names = {command.name for command in _commands()}

    assert {words[0] for _, words in OWN} >= names
    assert names | {"--help"} >= NAMED


@pytest.mark.parametrize(("where", "words"), AIRFLOWS, ids=[" ".join(a)[:50] for _, a in AIRFLOWS])
def test_airflows_commands_take_what_is_shown(where: str, words: list[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    get_parser().parse_args(words[1:])


def test_triggers_narrow_a_run_by_parameters_that_exist(tmp_path: Path) -> None:
    from airflow_provider_logmigrate.dag_factory.build import build_dags
    from airflow_provider_logmigrate.dag_factory.follow import follow_dag, follow_dag_id

    path = tmp_path / "logmigrate.yaml"
    path.write_text(
        next(b.text for b in page("docs/getting-started.md").of("yaml") if "migrations:" in b.text)
    )
    document = yaml.safe_load(path.read_text())
    document["migrations"]["dify_logs"] |= {"purge": {}, "retention": {"after": "1d"}}
    path.write_text(yaml.safe_dump(document))
    config = load(path)
    migration = config.migrations["dify_logs"]
    dags = build_dags(config)
    # What is followed has no end, and those that are shown have one.
    dags[follow_dag_id(migration.name)] = follow_dag(migration)
    of_tenant = dags[dag_id(migration.name, migration.tenants[0])]
    shown = [
        (words[3], json.loads(words[words.index("--conf") + 1]))
        for _, words in AIRFLOWS
        if "--conf" in words
    ]

    assert {words[3] for _, words in AIRFLOWS if words[1:3] == ["dags", "trigger"]} == dags.keys()
    for name, conf in shown:
        assert conf.keys() <= dags[name].params.keys()
        for parameter, value in conf.items():
            dags[name].params.get_param(parameter).resolve(value)
    narrowed = [conf for name, conf in shown if name == of_tenant.dag_id]
    assert len(narrowed) >= 3
    for conf in narrowed:
        chosen = RunOptions.of(migration, conf, now=datetime.now(timezone.utc))
        assert [period.label for period in chosen.periods(migration)] == [
            "2025-01",
            "2025-02",
            "2025-03",
        ]


def test_connections_are_such_as_the_provider_takes() -> None:
    from airflow.sdk import Connection

    from airflow_provider_logmigrate.hooks.connections import postgres_endpoint, search_endpoint

    shown: dict[str, list[dict[str, Any]]] = {}
    for _, words in AIRFLOWS:
        if words[1:3] == ["connections", "add"]:
            shown.setdefault(words[3], []).append(json.loads(words[words.index("--conn-json") + 1]))

    assert shown.keys() == {"dify_postgres", "logmigrate_ledger", "logs_search"}
    for name, given in shown.items():
        for values in given:
            extra = values.pop("extra", {})
            connection = Connection(conn_id=name, **values, extra=json.dumps(extra))
            if connection.conn_type == "postgres":
                assert postgres_endpoint(connection).options.keys() == extra.keys()
            else:
                endpoint = search_endpoint(connection, StoreType(connection.conn_type))
                assert all(host.scheme == "https" for host in endpoint.addresses())
                assert {host.port for host in endpoint.addresses()} == {9200}
                assert endpoint.ca_certs
                assert endpoint.authorization()
    assert {values["conn_type"] for values in shown["logs_search"]} == {
        "opensearch",
        "elasticsearch",
    }


def test_environment_variables_are_options_of_the_provider() -> None:
    from airflow_provider_logmigrate.get_provider_info import get_provider_info

    options = {name.upper() for name in get_provider_info()["config"]["logmigrate"]["options"]}
    named = {
        name for each in PAGES for name in re.findall(r"AIRFLOW__LOGMIGRATE__([A-Z_]+)", each.text)
    }

    assert "CONFIG" in named
    assert named <= options
