"""``airflow dotypos connect``: a cloud is connected from a terminal.

Imported at every ``airflow`` call for its options, so the rest is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

#: One option: its flags, and what ``argparse`` (and Airflow's own parser) is told of it.
Option = tuple[tuple[str, ...], dict[str, Any]]

CLIENT_ID, CLIENT_SECRET = "DOTYPOS_CLIENT_ID", "DOTYPOS_CLIENT_SECRET"


def options() -> list[Option]:
    """Return the command's options. The client secret is none: a shell's history and ``ps`` show those."""
    return [
        (("--conn-id",), {"help": "Airflow connection to connect, made if there is none (default: print one)"}),
        (("--cloud-id",), {"type": int, "help": "the cloud to be chosen: with another one nothing is stored"}),
        (("--client-id",), {"help": f"client id (default: the connection's, else {CLIENT_ID}, else asked for)"}),
        (("--host",), {"help": "API base URL (default: the connection's, else https://api.dotykacka.cz)"}),
        (("--replace",), {"action": "store_true", "help": "let the connection change to another cloud"}),
        (("--port",), {"type": _port, "default": 0, "help": "port of 127.0.0.1 to come back to (0: any free one)"}),
        (("--no-browser",), {"action": "store_true", "help": "open no browser, only print the address"}),
        (("--paste",), {"action": "store_true", "help": "no listener: write a page to open on any machine"}),
        (("--page",), {"type": Path, "help": "file that --paste writes (connect-dotypos.html)"}),
        (("--timeout",), {"type": _seconds, "help": "seconds to wait for the way back from Dotypos (16 minutes)"}),
        (("--format",), {"choices": ("json", "uri"), "default": "json", "help": "of a printed connection (json)"}),
        (("--legacy",), {"action": "store_true", "help": "the deprecated connector; its address holds the secret"}),
    ]


def run(args: argparse.Namespace) -> int:
    """Connect a cloud with parsed options, and return the exit code."""
    from airflow_provider_dotypos.api.errors import DotyposConfigurationError
    from airflow_provider_dotypos.connect.grant import ConnectError
    from airflow_provider_dotypos.connect.terminal.run import ConnectRun
    from airflow_provider_dotypos.connect.terminal.target import Target, UsageError

    with _stdout_for_the_connection() as out:
        try:
            if clash := _clash(args):
                raise UsageError(clash)
            target = Target.of(args.conn_id, args.host, args.cloud_id, replace_cloud=args.replace)
            connecting = ConnectRun(args, target, say, lambda value: _print(value, out))
            outcome = connecting.by_paste() if args.paste else connecting.by_listener()
        except UsageError as error:
            say(str(error))
            return 2
        except (ConnectError, DotyposConfigurationError) as error:
            say(f"Not connected. {error}")
            return 1
        except KeyboardInterrupt:
            say("\nNot connected: interrupted.")
            return 130
        return outcome.code


def say(text: str) -> None:
    """Tell the person something. A cloud's name comes from outside and may hold what moves a terminal's cursor."""
    shown = "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)
    sys.stderr.write(f"{shown}\n")
    sys.stderr.flush()


@contextmanager
def _stdout_for_the_connection() -> Iterator[TextIO]:
    """Give standard output to the connection alone, so that it can go to a file.

    Airflow logs there as well, and browsers that are started write there what they like; they get standard error.
    """
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        yield out
    finally:
        sys.stdout.flush()
        os.dup2(out.fileno(), 1)
        with suppress(OSError):  # what couldn't be written was told then
            out.close()


def _print(value: str, out: TextIO) -> None:
    from airflow_provider_dotypos.connect.grant import ConnectError

    try:
        print(value, file=out, flush=True)
    except OSError as error:
        raise ConnectError(f"The connection can't be printed ({error.strerror}), and is stored nowhere.") from None


def _clash(args: argparse.Namespace) -> str:
    """Return what is wrong with options of which one would be ignored, or nothing."""
    if args.replace and args.conn_id is None:
        return "--replace lets a connection change its cloud: name it by --conn-id."
    if args.page is not None and not args.paste:
        return "--page names the file that --paste writes; give both or neither."
    others = {"--legacy": args.legacy, "--port": args.port, "--no-browser": args.no_browser, "--timeout": args.timeout}
    useless = [option for option, given in others.items() if given]
    if args.paste and useless:
        return f"{', '.join(useless)} and --paste don't go together: leave one of them out."
    return ""


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be 0 to 65535, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return seconds
