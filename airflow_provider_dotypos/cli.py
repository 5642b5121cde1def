"""The table of commands: ``python -m airflow_provider_dotypos …``, and from Airflow 3.2 on ``airflow dotypos …``.

Imported at every ``airflow`` call, so it only reads the commands' options. The rest is imported when a command runs.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from airflow_provider_dotypos.commands.options import Option

_DESCRIPTION = "Tools around Dotypos"

#: What shells report of a process that Ctrl-C has ended.
_INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    :param module: holds its ``options()`` and its function.
    :param function: takes the parsed options and returns the exit code. Defaults to ``run``.
    """

    name: str
    help: str
    module: str
    function: str = "run"

    def options(self) -> list[Option]:
        """Return its options."""
        options: list[Option] = import_module(self.module).options()
        return options

    def run(self, args: argparse.Namespace) -> int:
        """Run it and return its exit code."""
        args.options = self.options()  # errors name them
        try:
            code: int = getattr(import_module(self.module), self.function)(args)
            sys.stdout.flush()  # a reader that has gone, or a full disk, shows here at the latest
        except KeyboardInterrupt:
            sys.stderr.write("\nInterrupted.\n")
            return _INTERRUPTED
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ENOSPC):
                raise
            if error.errno == errno.ENOSPC:
                sys.stderr.write(f"The result can't be written: {error.strerror}.\n")
            _let_stdout_go()
            return 1
        return code

    def run_and_exit(self, args: argparse.Namespace) -> None:
        """Run it and end the process with its exit code, because Airflow ignores what a command returns."""
        sys.exit(self.run(args))


COMMANDS = (
    Command(
        "check",
        "Check a connection: sign-in, cloud, clock, and the permission to read each list",
        "airflow_provider_dotypos.commands.check",
    ),
    Command(
        "clouds",
        "List the clouds that a connection's refresh token may use",
        "airflow_provider_dotypos.commands.clouds",
    ),
    Command(
        "compact",
        "Make one set of the many sets of each month, with the newest version of each row",
        "airflow_provider_dotypos.commands.compact",
    ),
    Command(
        "connect",
        "Connect a cloud: fetch a refresh token by a browser, and store it in a connection or print it",
        "airflow_provider_dotypos.commands.connect",
    ),
    Command(
        "drift",
        "Show fields that this package doesn't know, and values that didn't fit, since when, in files or tables",
        "airflow_provider_dotypos.commands.drift",
    ),
    Command(
        "entities",
        "List what can be extracted, or the fields of one entity: types, filters, personal data",
        "airflow_provider_dotypos.commands.entities",
    ),
    Command(
        "erase",
        "Erase a customer's personal data from the files and tables that extractions have written",
        "airflow_provider_dotypos.commands.erase",
    ),
    Command(
        "estimate",
        "Estimate rows, requests and time of an extraction, and what each choice would save",
        "airflow_provider_dotypos.commands.estimate",
    ),
    Command(
        "extract",
        "Extract one window of an entity to files below a folder",
        "airflow_provider_dotypos.commands.extract",
    ),
    Command(
        "peek",
        "Show a few rows of an entity, personal data masked",
        "airflow_provider_dotypos.commands.peek",
    ),
    Command(
        "prune",
        "Remove sets that a compacted set covers, or that are older than asked",
        "airflow_provider_dotypos.commands.prune",
    ),
    Command(
        "sandbox",
        "Run a Dotypos API with invented data on this machine, to develop and test against",
        "airflow_provider_dotypos.commands.sandbox",
    ),
    Command(
        "show",
        "Show what a committed set of files holds, and its first rows, personal data masked",
        "airflow_provider_dotypos.commands.show",
    ),
    Command(
        "watermark",
        "Show how far runs without a window have read each list, set that, or forget it",
        "airflow_provider_dotypos.commands.watermark",
    ),
)


def _let_stdout_go() -> None:
    """Drop what stdout still holds. Otherwise Python complains about it at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_dotypos", description=_DESCRIPTION)
    known = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        own = known.add_parser(command.name, help=command.help, description=command.help)
        for flags, details in command.options():
            own.add_argument(*flags, **details)
        own.set_defaults(run=command.run)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


def airflow_commands() -> list[Any]:
    """Return what ``airflow dotypos`` offers. The provider's metadata names this function, from Airflow 3.2 on."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    commands = [
        ActionCommand(
            name=command.name,
            help=command.help,
            func=command.run_and_exit,
            args=[Arg(flags=flags, **details) for flags, details in command.options()],  # type: ignore[no-untyped-call]
        )
        for command in COMMANDS
    ]
    return [GroupCommand(name="dotypos", help=_DESCRIPTION, subcommands=commands)]
