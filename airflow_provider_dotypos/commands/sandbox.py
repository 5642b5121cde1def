"""The sandbox from the command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shlex
import signal
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.sandbox.behaviour import CHOICES, Behaviour
from airflow_provider_dotypos.sandbox.limit import Limit

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.server import Sandbox

PORT = 8765


#: One option: its flags, and what ``argparse`` (and Airflow's own parser) is told of it.
Option = tuple[tuple[str, ...], dict[str, Any]]


def options() -> list[Option]:
    """Return the command's options; every switch of ``Behaviour`` is one."""
    found: list[Option] = [
        (("--port",), {"type": int, "default": PORT, "help": f"port on 127.0.0.1, 0 for any free one ({PORT})"}),
        (("--days",), {"type": int, "default": 60, "help": "days of history (60)"}),
        (("--orders-per-day",), {"type": int, "default": 120, "help": "orders a day in each cloud (120)"}),
        (("--seed",), {"type": int, "default": 1, "help": "another number makes another history (1)"}),
        (("--lively",), {"action": "store_true", "help": "let guests come while it runs"}),
        (("--latency",), {"type": float, "default": 0.0, "help": "seconds added to each answer (0)"}),
        (("--limit",), {"type": _limit, "help": "requests that a cloud may make in so many seconds, such as 150/1800"}),
    ]
    # What each switch is about stands in the docstring, once.
    told_of = dict(re.findall(r":param (\w+): (.*?)(?=\n\s+:param|\Z)", Behaviour.__doc__ or "", re.S))
    for field in dataclasses.fields(Behaviour):
        text = " ".join(told_of[field.name].split())
        told: dict[str, Any] = {"help": f"{text} (default: {field.default})"}
        if isinstance(field.default, bool):
            told |= {"action": "store_true"}
        elif field.name in CHOICES:
            told |= {"choices": CHOICES[field.name], "default": field.default}
        elif isinstance(field.default, tuple):
            told |= {"nargs": "*", "default": field.default, "metavar": "FIELD"}
        else:
            told |= {"type": float, "default": field.default}
        found.append((("--" + field.name.replace("_", "-"),), told))
    return found


def parser(prog: str = "python -m airflow_provider_dotypos sandbox") -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = argparse.ArgumentParser(
        prog=prog, description="Run a Dotypos API with invented data on this machine, until Ctrl-C."
    )
    for flags, told in options():
        made.add_argument(*flags, **told)
    return made


def run(argv: list[str] | None = None) -> int:
    """Run the sandbox until it is interrupted."""
    return serve(parser().parse_args(argv))


def serve(args: argparse.Namespace) -> int:
    """Run the sandbox with parsed options until it is interrupted."""
    from airflow_provider_dotypos.sandbox.furnished import Shop
    from airflow_provider_dotypos.sandbox.server import Sandbox

    behaviour = Behaviour(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Behaviour)})
    shop = Shop.generate(args.seed, args.days, orders_per_day=args.orders_per_day)
    shop.lively = args.lively
    sandbox = Sandbox(shop, behaviour, args.port)
    sandbox.latency = args.latency
    sandbox.limit = args.limit
    # Started in the background by a script, a process ignores Ctrl-C's signal unless told otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sandbox.start()
    except OSError as error:
        print(f"Port {args.port} can't be used ({error}). Choose another with --port, or 0 for any.")
        return 1
    try:
        print(introduction(sandbox), flush=True)
        while True:
            time.sleep(1)
            if shop.lively:
                shop.advance(0)
    except KeyboardInterrupt:
        print("\nClosing.")
    finally:
        sandbox.stop()
    return 0


def _limit(text: str) -> Limit:
    try:
        return Limit.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def introduction(sandbox: Sandbox) -> str:
    """Return what to tell whoever started the sandbox: where it is, and how Airflow gets to it."""
    clouds = [cloud for cloud in map(sandbox.shop.cloud, sandbox.cloud_ids) if cloud is not None]
    names = "\n".join(f"  {cloud['id']}  {cloud['name']} ({sandbox.shop.currency(cloud['id'])})" for cloud in clouds)
    connection = shlex.quote(json.dumps(sandbox.connection()))
    return (
        f"Dotypos sandbox at {sandbox.url} (invented data; controls below {sandbox.url}/_sandbox)\n"
        f"Clouds:\n{names}\n\n"
        "Point an Airflow connection at it:\n"
        f"  airflow connections add dotypos_default --conn-json {connection}\n"
        "or, for one process:\n"
        f"  export AIRFLOW_CONN_DOTYPOS_DEFAULT={connection}\n\n"
        "Or try to connect one, by:\n"
        f"  DOTYPOS_CLIENT_SECRET={sandbox.client_secret} python -m airflow_provider_dotypos connect "
        f"--host {sandbox.url} --client-id {sandbox.client_id}\n\n"
        "Ctrl-C ends it."
    )


if __name__ == "__main__":
    raise SystemExit(run())
