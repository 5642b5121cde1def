"""A Dotypos API on loopback: to try the provider, and to test DAGs against.

::

    from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox, Shop

    with Sandbox(Shop.generate(days=7), Behaviour(ties="shuffled")) as sandbox:
        os.environ["AIRFLOW_CONN_DOTYPOS_DEFAULT"] = json.dumps(sandbox.connection())
        sandbox.faults.append(Fault("503", retry_after="1", path="/orders"))
        ...

It models what the API's documents say and what working clients have seen, with invented data. Where the real API is
unknown, ``Behaviour`` has a switch. It is stricter than the real one where clients often fail unnoticed. ``Shop`` is
the data without the server, and quick enough for property tests.

Its drawers import one way: ``server`` → ``door`` → ``api`` → ``bistro`` → ``shop``, and ``furnished``, where a ``Shop``
is made, imports all but the server. ``behaviour``, ``errors``, ``faults`` and ``limit`` are for all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.behaviour import Behaviour
    from airflow_provider_dotypos.sandbox.faults import DeliveryFault, Fault, Request, Write
    from airflow_provider_dotypos.sandbox.furnished import Shop
    from airflow_provider_dotypos.sandbox.limit import Limit
    from airflow_provider_dotypos.sandbox.server import Sandbox

__all__ = ["Behaviour", "DeliveryFault", "Fault", "Limit", "Request", "Sandbox", "Shop", "Write"]

# Imported at first use: Airflow's command line only reads the options, and the data doesn't need the server.
_HOMES = {
    "Behaviour": "behaviour",
    "DeliveryFault": "faults",
    "Fault": "faults",
    "Limit": "limit",
    "Request": "faults",
    "Sandbox": "server",
    "Shop": "furnished",
    "Write": "faults",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
