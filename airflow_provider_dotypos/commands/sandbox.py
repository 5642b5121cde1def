"""``airflow dotypos sandbox``: run a Dotypos API with invented data on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shlex
import signal
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.commands.options import Option
from airflow_provider_dotypos.sandbox.behaviour import CHOICES, Behaviour
from airflow_provider_dotypos.sandbox.limit import Limit

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.server import Sandbox


def options() -> list[Option]:
    """Return the command's options. Every switch of ``Behaviour`` is one."""
    return [
        (("--port",), {"type": int, "default": 8765, "help": "port on 127.0.0.1, 0 for any free one (8765)"}),
        (("--days",), {"type": int, "default": 60, "help": "days of history (60)"}),
        (("--orders-per-day",), {"type": int, "default": 120, "help": "orders a day in each cloud (120)"}),
        (("--seed",), {"type": int, "default": 1, "help": "another number makes another history (1)"}),
        (("--lively",), {"action": "store_true", "help": "let guests come while it runs"}),
        (("--latency",), {"type": float, "default": 0.0, "help": "seconds added to each answer (0)"}),
        (("--limit",), {"type": _limit, "help": "requests that a cloud may make in so many seconds, such as 150/1800"}),
        *(_switch(field) for field in dataclasses.fields(Behaviour)),
    ]


def _switch(field: dataclasses.Field[Any]) -> Option:
    """Return the option for a switch. Its help is the switch's description in the docstring of ``Behaviour``."""
    about = dict(re.findall(r":param (\w+): (.*?)(?=\n\s+:param|\Z)", Behaviour.__doc__ or "", re.S))
    text = " ".join(about[field.name].split())
    details: dict[str, Any] = {"help": f"{text} (default: {field.default})"}
    if isinstance(field.default, bool):
        details |= {"action": "store_true"}
    elif field.name in CHOICES:
        details |= {"choices": CHOICES[field.name], "default": field.default}
    elif isinstance(field.default, tuple):
        details |= {"nargs": "*", "default": field.default, "metavar": "FIELD"}
    else:
        details |= {"type": float, "default": field.default}
    return ("--" + field.name.replace("_", "-"),), details


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
    sandbox = Sandbox(shop, behaviour, args.port)
    sandbox.latency = args.latency
    sandbox.limit = args.limit
    # A process that a script starts in the background ignores Ctrl-C's signal by default.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sandbox.start()
    except OSError as error:
        print(f"Port {args.port} can't be used ({error}). Choose another with --port, or 0 for any.")
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
    return (
        f"Dotypos sandbox at {sandbox.url} (invented data; controls below {sandbox.url}/_sandbox)\n"
        f"Clouds:\n{clouds}\n\n"
        "Point an Airflow connection at it:\n"
        f"  airflow connections add dotypos_default --conn-json {connection}\n"
        "or, for one process:\n"
        f"  export AIRFLOW_CONN_DOTYPOS_DEFAULT={connection}\n\n"
        "Or try to connect one:\n"
        f"  DOTYPOS_CLIENT_SECRET={sandbox.client_secret} python -m airflow_provider_dotypos connect "
        f"--host {sandbox.url} --client-id {sandbox.client_id}\n\n"
        "Ctrl-C stops it."
    )
