"""The commands' names and arguments. Imported on every ``airflow`` call, so it stays light."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import Arg, CLICommand

_MODULES = "airflow_provider_logmigrate.cli"
_ELSEWHERE = {
    "import-env": "setup",
    "discover": "setup",
    "certificate": "certificates",
    "verify": "certificates",
}
"""Commands that don't stand in ``commands``."""


def get_cli() -> list[CLICommand]:
    """The ``logmigrate`` command group, for Airflow's provider manager."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    def argument(*flags: str, **options: object) -> Arg:
        return Arg(flags, **options)  # type: ignore[no-untyped-call]

    output = argument(
        "-o", "--output", choices=("table", "json"), default="table", help="table or json"
    )
    migration = argument("--migration", help="only this migration")
    tenant = argument("--tenant", help="only this tenant")
    commands: list[tuple[str, str, tuple[Arg, ...]]] = [
        (
            "check",
            "Check configuration, connections, privileges and engines",
            (migration, output),
        ),
        (
            "plan",
            "Print the plan of a tenant; writes nothing",
            (
                argument("--migration", required=True, help="name of the migration"),
                argument("--tenant", required=True, help="one of its tenants"),
                argument("--streams", help="comma-separated names; default: all"),
                argument("--from", dest="first", help="first day, YYYY-MM-DD, included"),
                argument("--to", dest="last", help="last day, YYYY-MM-DD, included"),
                output,
            ),
        ),
        (
            "status",
            "Show units, certificates, dead letters, cut-overs and runs",
            (migration, tenant, output),
        ),
        (
            "rollback",
            "Undo a cut-over by its stored inverse",
            (argument("cutover", help="id, as `status` and the swap task print it"), output),
        ),
        (
            "restore",
            "Bring purged rows back from the search store into the source",
            (
                argument("--migration", required=True, help="name of the migration"),
                argument("--tenant", required=True, help="one of its tenants"),
                argument("--units", help="comma-separated unit keys; default: all purged ones"),
                output,
            ),
        ),
        (
            "certificate",
            "Show a certificate, with the SQL and the search request that check it by hand",
            (argument("certificate", help="id, as `status` prints it"), output),
        ),
        (
            "verify",
            "Prove a certificate's unit again now; the exit code is 0 only if it is still true",
            (
                argument("--certificate", required=True, help="id, as `status` prints it"),
                output,
            ),
        ),
        (
            "import-env",
            "Turn Dify's ELASTICSEARCH_* and DB_* settings into logmigrate.yaml and connections",
            (
                argument("--env-file", help="a .env file; default: the environment"),
                argument(
                    "--engine",
                    choices=("elasticsearch", "opensearch"),
                    default="elasticsearch",
                    help="what answers at ELASTICSEARCH_HOSTS",
                ),
                argument(
                    "--connections-file",
                    help="write the connections, which hold passwords, into this new file;"
                    " default: commands that add them, on standard error",
                ),
                output,
            ),
        ),
        (
            "discover",
            "Write the tenants found in the source into the file the configuration names",
            (argument("migration", help="name of the migration"), output),
        ),
    ]
    required = argument("--migration", required=True, help="name of the migration")
    reason = argument("--reason", help="only those whose error's name or reason has this text")
    units = argument("--units", help="comma-separated unit keys; default: all")
    state = argument(
        "--state",
        choices=("open", "waived", "redriven", "all"),
        default="open",
        help="open, waived, redriven or all",
    )
    limit = argument("--limit", type=int, default=100, help="at most so many")
    several = argument("id", type=int, nargs="+", help="ids, as `list` prints them")
    why = argument("--why", required=True, help="the reason, kept in the ledger")
    one_tenant = argument("--tenant", required=True, help="one of its tenants")
    streams = argument("--streams", help="comma-separated names; default: all")
    letters: dict[str, tuple[str, str, tuple[Arg, ...]]] = {
        "list_letters": (
            "list",
            "List dead letters, the oldest first",
            (required, tenant, units, reason, state, limit, output),
        ),
        "show_letter": (
            "show",
            "Show a dead letter with its document",
            (argument("id", type=int, help="as `list` prints it"), output),
        ),
        "waive_letters": (
            "waive",
            "Accept that documents stay away; says who, when and why from then on",
            (several, why, output),
        ),
        "redrive_letters": (
            "redrive",
            "Send open dead letters again; the exit code is 0 only if all have got through",
            (required, one_tenant, streams, units, reason, output),
        ),
    }

    def action(path: str, name: str, text: str, args: tuple[Arg, ...]) -> ActionCommand:
        function = lazy_load_command(f"{_MODULES}.{path}")
        return ActionCommand(name=name, help=text, func=function, args=args)

    return [
        GroupCommand(
            name="logmigrate",
            help="Migrate logs to search, proven",
            subcommands=[
                *(action(_path(name), name, text, args) for name, text, args in commands),
                GroupCommand(
                    name="dead-letters",
                    help="List, show, waive and redrive documents that the target refused",
                    subcommands=[
                        action(f"dead_letters.{function}", *each)
                        for function, each in letters.items()
                    ],
                ),
            ],
        )
    ]


def _path(name: str) -> str:
    return f"{_ELSEWHERE.get(name, 'commands')}.{name.replace('-', '_')}"
