"""``airflow dotypos sandbox``: run a Dotypos API with invented data on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shlex
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.commands.options import Option, number, port, whole_number
from airflow_provider_dotypos.sandbox.behaviour import CHOICES, DELIVERY_CHOICES, WRITE_CHOICES, Behaviour
from airflow_provider_dotypos.sandbox.limit import Limit

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.server import Sandbox

_HOST = "address to listen on; 0.0.0.0 lets other hosts in, such as containers and workers (default: 127.0.0.1)"
_ANYWHERE = "deliver webhooks to any address (default: to this machine only)"
_ORDERS = "orders a day in each cloud (default: 120)"
_SEED = "another number makes another history (default: 1)"
_SECONDS = number(0, 3600)


def options() -> list[Option]:
    """Return the command's options. Every switch of ``Behaviour`` is one."""
    return [
        (("--host",), {"default": "127.0.0.1", "help": _HOST}),
        (("--port",), {"type": port, "default": 8765, "help": "port, 0 for any free one (default: 8765)"}),
        (("--days",), {"type": whole_number(0, 3650), "default": 60, "help": "days of history (default: 60)"}),
        (("--orders-per-day",), {"type": whole_number(0, 10_000), "default": 120, "help": _ORDERS}),
        (("--seed",), {"type": whole_number(0, 2**32 - 1), "default": 1, "help": _SEED}),
        (("--lively",), {"action": "store_true", "help": "let guests come while it runs"}),
        (("--latency",), {"type": _SECONDS, "default": 0.0, "help": "seconds added to each answer (default: 0)"}),
        (("--limit",), {"type": _limit, "help": "requests that a cloud may make in so many seconds, such as 150/1800"}),
        (("--deliver-anywhere",), {"action": "store_true", "help": _ANYWHERE}),
        *(_switch(field) for field in dataclasses.fields(Behaviour)),
    ]


def _switch(field: dataclasses.Field[Any]) -> Option:
    """Return the option for a switch. Its help is the switch's description in the docstring of ``Behaviour``."""
    about = dict(re.findall(r":param (\w+): (.*?)(?=\n\s+:param|\Z)", Behaviour.__doc__ or "", re.S))
    default = "" if field.default is False or field.default in (None, ()) else f" (default: {field.default})"
    details: dict[str, Any] = {"help": _plain(about[field.name]) + default}
    if isinstance(field.default, bool):
        details |= {"action": "store_true"}
    elif choices := {**CHOICES, **WRITE_CHOICES, **DELIVERY_CHOICES}.get(field.name):
        details |= {"choices": choices, "default": field.default}
    elif field.default is None:
        details |= {"type": whole_number(0, 1000), "metavar": "ROWS"}
    elif isinstance(field.default, int):
        details |= {"type": whole_number(1, 100), "default": field.default, "metavar": "TIMES"}
    elif isinstance(field.default, tuple):
        details |= {"nargs": "*", "default": field.default, "metavar": "FIELD"}
    else:
        details |= {"type": _SECONDS, "default": field.default}
    return ("--" + field.name.replace("_", "-"),), details


def _plain(text: str) -> str:
    """Return a docstring's text on one line, without its markup and its marks of certainty."""
    line = re.sub(r"\s\[[^]]+\]", "", " ".join(text.replace("``", "").split()))
    return line if ". " in line else line.removesuffix(".")


def _limit(text: str) -> Limit:
    try:
        return Limit.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """Run the sandbox until it is interrupted, and return the exit code."""
    # The server's libraries take a while to import, and options are looked at by every ``airflow`` call.
    from airflow_provider_dotypos.sandbox import Sandbox, Shop

    behaviour = Behaviour(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Behaviour)})
    shop = Shop.generate(args.seed, args.days, orders_per_day=args.orders_per_day)
    shop.lively = args.lively
    sandbox = Sandbox(shop, behaviour, args.port, args.host)
    sandbox.latency = args.latency
    sandbox.limit = args.limit
    sandbox.deliveries.anywhere = args.deliver_anywhere
    # A process that a script starts in the background ignores Ctrl-C's signal, and a container's first process ignores
    # the one that stops it.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    try:
        sandbox.start()
    except OSError as error:
        cure = "Choose another by --host, or by --port (0 for any free one)."
        print(f"{args.host}, port {args.port} can't be used ({error.strerror}). {cure}", file=sys.stderr)
        return 1
    try:
        print(_introduction(sandbox), flush=True)
        while True:
            time.sleep(1)
            if shop.lively:
                shop.advance(0)
    except KeyboardInterrupt:
        print("\nClosing.")
    finally:
        sandbox.stop()
    return 0


def _introduction(sandbox: Sandbox) -> str:
    """Return where the sandbox is, and how Airflow connects to it."""
    clouds = "\n".join(
        f"  {cloud['id']}  {cloud['name']} ({sandbox.shop.currency(cloud['id'])})" for cloud in sandbox.allowed_clouds()
    )
    connection = shlex.quote(json.dumps(sandbox.connection()))
    secret = f"DOTYPOS_CLIENT_SECRET={sandbox.client_secret} "
    by = f" --host {sandbox.url} --client-id {sandbox.client_id}"
    if sandbox.open_to_the_network:
        secret, by = "", ""
    return (
        f"Dotypos sandbox at {sandbox.url} (invented data; controls below {sandbox.url}/_sandbox)\n"
        f"Clouds:\n{clouds}\n\n"
        "Point an Airflow connection at it:\n"
        f"  airflow connections add dotypos_default --conn-json {connection}\n"
        "or, for one process:\n"
        f"  export AIRFLOW_CONN_DOTYPOS_DEFAULT={connection}\n\n"
        "Or try to connect one:\n"
        f"  {secret}python -m airflow_provider_dotypos connect --conn-id dotypos_default{by}\n\n"
        "Ctrl-C stops it."
    )
