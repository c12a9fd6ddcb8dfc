"""The commands' names and arguments. Imported on every ``airflow`` call, so it stays light."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

_COMMANDS = "airflow_provider_logmigrate.cli.commands"


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
    commands = [
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
    return [
        GroupCommand(
            name="logmigrate",
            help="Migrate logs to search, proven",
            subcommands=[
                ActionCommand(
                    name=name,
                    help=text,
                    func=lazy_load_command(f"{_COMMANDS}.{name.replace('-', '_')}"),
                    args=args,
                )
                for name, text, args in commands
            ],
        )
    ]
