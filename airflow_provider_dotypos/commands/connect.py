"""``airflow dotypos connect``: connect a cloud from a terminal.

Imported at every ``airflow`` call for its options, so the rest is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from airflow_provider_dotypos.commands.options import Option, cloud_id, number, port
from airflow_provider_dotypos.connect.credentials import CLIENT_ID
from airflow_provider_dotypos.connections.errors import ConnectError


def options() -> list[Option]:
    """Return the command's options. None takes the client secret: a shell's history and ``ps`` would show it."""
    return [
        (("--conn-id",), {"help": "Airflow connection to connect, created if it doesn't exist (default: print one)"}),
        (("--cloud-id",), {"type": cloud_id, "help": "the cloud to choose: with another cloud nothing is stored"}),
        (("--client-id",), {"help": f"client id (default: the connection's, else {CLIENT_ID}, else typed)"}),
        (("--host",), {"help": "API base URL (default: the connection's, else https://api.dotykacka.cz)"}),
        (("--replace",), {"action": "store_true", "help": "let the connection change to another cloud"}),
        (("--port",), {"type": port, "default": 0, "help": "port of 127.0.0.1 to return to (default: any free one)"}),
        (("--no-browser",), {"action": "store_true", "help": "open no browser, only print the address"}),
        (("--paste",), {"action": "store_true", "help": "no listener: write a page to open on any machine"}),
        (("--page",), {"type": Path, "help": "file that --paste writes (default: connect-dotypos.html)"}),
        (("--timeout",), {"type": number(0.1, 86_400), "help": "seconds to wait for the return (default: 16 minutes)"}),
        (("--format",), {"choices": ("json", "uri"), "default": "json", "help": "for printing (default: json)"}),
        (("--legacy",), {"action": "store_true", "help": "the deprecated connector: its address holds the secret"}),
    ]


def run(args: argparse.Namespace) -> int:
    """Connect a cloud with parsed options, and return the exit code."""
    from airflow_provider_dotypos.api.errors import DotyposConfigurationError
    from airflow_provider_dotypos.connect.terminal.run import ConnectRun
    from airflow_provider_dotypos.connect.terminal.target import ChosenTarget, UsageError

    with _stdout_for_the_connection() as out:
        try:
            if clash := _clash(args):
                raise UsageError(clash)
            chosen = ChosenTarget.of(args.conn_id, args.host, args.cloud_id, replace_cloud=args.replace)
            connect_run = ConnectRun(args, chosen, say, lambda value: _print(value, out))
            ending = connect_run.by_paste() if args.paste else connect_run.by_listener()
        except UsageError as error:
            say(str(error))
            return 2
        except (ConnectError, DotyposConfigurationError) as error:
            say(f"Not connected. {error}")
            return 1
        except KeyboardInterrupt:
            say("\nNot connected: interrupted.")
            return 130
        return ending.code


def say(text: str) -> None:
    """Show the person a text. A cloud's name in it comes from outside and may hold what moves a terminal's cursor."""
    shown = "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)
    sys.stderr.write(f"{shown}\n")
    sys.stderr.flush()


@contextmanager
def _stdout_for_the_connection() -> Iterator[TextIO]:
    """Keep standard output for the connection, so that it can go to a file.

    Airflow's logs and a started browser's output go to standard error instead.
    """
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        yield out
    finally:
        sys.stdout.flush()
        os.dup2(out.fileno(), 1)
        with suppress(OSError):  # what couldn't be written was reported then
            out.close()


def _print(value: str, out: TextIO) -> None:
    try:
        print(value, file=out, flush=True)
    except OSError as error:
        raise ConnectError(f"The connection can't be printed ({error.strerror}), and isn't stored anywhere.") from None


def _clash(args: argparse.Namespace) -> str:
    """Return why the options don't go together: one would be ignored. Empty if they do."""
    if args.replace and args.conn_id is None:
        return "--replace lets a connection change its cloud: name it by --conn-id."
    if args.page is not None and not args.paste:
        return "--page names the file that --paste writes; give both or neither."
    others = {"--legacy": args.legacy, "--port": args.port, "--no-browser": args.no_browser, "--timeout": args.timeout}
    useless = [option for option, given in others.items() if given]
    if args.paste and useless:
        return f"{', '.join(useless)} and --paste don't go together: remove one of them."
    return ""
