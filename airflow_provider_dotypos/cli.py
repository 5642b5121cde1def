"""``airflow dotypos …`` (Airflow 3.2 and later) and ``python -m airflow_provider_dotypos …`` (everywhere): one parser.

Imported at every ``airflow`` call, so it looks at the commands' options alone; the rest is imported when they run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

_SANDBOX_HELP = "Run a Dotypos API with invented data on this machine, to develop and test against"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    from airflow_provider_dotypos.sandbox import command

    parser = argparse.ArgumentParser(prog="python -m airflow_provider_dotypos", description="Tools around Dotypos")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sandbox = commands.add_parser("sandbox", help=_SANDBOX_HELP, description=_SANDBOX_HELP)
    for flags, told in command.options():
        sandbox.add_argument(*flags, **told)
    sandbox.set_defaults(run=command.serve)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


def airflow_commands() -> list[Any]:
    """Return what ``airflow dotypos`` offers (named in the provider's metadata; Airflow 3.2 and later)."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    from airflow_provider_dotypos.sandbox import command

    return [
        GroupCommand(
            name="dotypos",
            help="Tools around Dotypos",
            subcommands=[
                ActionCommand(
                    name="sandbox",
                    help=_SANDBOX_HELP,
                    func=lazy_load_command("airflow_provider_dotypos.sandbox.command.serve"),
                    args=[Arg(flags=flags, **told) for flags, told in command.options()],  # type: ignore[no-untyped-call]
                )
            ],
        )
    ]
