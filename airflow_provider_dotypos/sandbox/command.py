"""The sandbox from the command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import time
from typing import TYPE_CHECKING

from airflow_provider_dotypos.sandbox.behaviour import CHOICES, Behaviour
from airflow_provider_dotypos.sandbox.shop import Shop

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.server import Sandbox

PORT = 8765


def parser() -> argparse.ArgumentParser:
    """Return the command's parser; every switch of ``Behaviour`` is an option."""
    made = argparse.ArgumentParser(
        prog="airflow dotypos sandbox",
        description="Run a Dotypos API with invented data on this machine, until Ctrl-C.",
    )
    add_arguments(made)
    return made


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    made.add_argument(
        "--port", type=int, default=PORT, help="port on 127.0.0.1, 0 for any free one (%(default)s)"
    )
    made.add_argument("--days", type=int, default=60, help="days of history (%(default)s)")
    made.add_argument(
        "--orders-per-day", type=int, default=120, help="orders a day in each cloud (%(default)s)"
    )
    made.add_argument(
        "--seed", type=int, default=1, help="another number makes another history (%(default)s)"
    )
    made.add_argument("--lively", action="store_true", help="let guests come while it runs")
    made.add_argument("--latency", type=float, default=0.0, help="seconds added to each answer")
    switches = made.add_argument_group("how the API behaves where nobody knows how the real one does")
    for field in dataclasses.fields(Behaviour):
        option = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            switches.add_argument(option, action=argparse.BooleanOptionalAction, default=field.default)
        elif field.name in CHOICES:
            switches.add_argument(
                option, choices=CHOICES[field.name], default=field.default, help="(%(default)s)"
            )
        else:
            switches.add_argument(option, type=float, default=field.default, help="seconds (%(default)s)")


def run(argv: list[str] | None = None) -> int:
    """Run the sandbox until it is interrupted."""
    return serve(parser().parse_args(argv))


def serve(args: argparse.Namespace) -> int:
    """Run the sandbox with parsed options until it is interrupted."""
    from airflow_provider_dotypos.sandbox.server import Sandbox

    behaviour = Behaviour(
        **{field.name: getattr(args, field.name) for field in dataclasses.fields(Behaviour)}
    )
    shop = Shop.generate(args.seed, args.days, orders_per_day=args.orders_per_day)
    shop.lively = args.lively
    sandbox = Sandbox(shop, behaviour, args.port)
    sandbox.latency = args.latency
    try:
        sandbox.start()
    except OSError as error:
        print(f"Port {args.port} can't be used ({error}). Choose another with --port, or 0 for any.")
        return 1
    print(introduction(sandbox), flush=True)
    try:
        while True:
            time.sleep(1)
            if shop.lively:
                shop.advance(0)
    except KeyboardInterrupt:
        print("\nClosing.")
    finally:
        sandbox.stop()
    return 0


def introduction(sandbox: Sandbox) -> str:
    """Return what to tell whoever started the sandbox: where it is, and how Airflow gets to it."""
    clouds = [cloud for cloud in map(sandbox.shop.cloud, sandbox.cloud_ids) if cloud is not None]
    names = "\n".join(
        f"  {cloud['id']}  {cloud['name']} ({sandbox.shop.currency(cloud['id'])})" for cloud in clouds
    )
    connection = shlex.quote(json.dumps(sandbox.connection()))
    return (
        f"Dotypos sandbox at {sandbox.url} (invented data; controls below {sandbox.url}/_sandbox)\n"
        f"Clouds:\n{names}\n\n"
        "Point an Airflow connection at it:\n"
        f"  airflow connections add dotypos_default --conn-json {connection}\n"
        "or, for one process:\n"
        f"  export AIRFLOW_CONN_DOTYPOS_DEFAULT={connection}\n\n"
        "Ctrl-C ends it."
    )


if __name__ == "__main__":
    raise SystemExit(run())
