"""A Dotypos API of one's own on loopback: to try the provider, and to test DAGs against.

::

    from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox, Shop

    with Sandbox(Shop.generate(days=7), Behaviour(ties="shuffled")) as sandbox:
        os.environ["AIRFLOW_CONN_DOTYPOS_DEFAULT"] = json.dumps(sandbox.connection())
        sandbox.faults.append(Fault("503", retry_after="1", path="/orders"))
        ...

It models what the API's documents say and what working clients have seen, with invented data; where the real
API is unknown, ``Behaviour`` has a switch. It is stricter than the real one where clients go wrong unnoticed.
``Shop`` is the data without the server, and quick enough for property tests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.behaviour import Behaviour
    from airflow_provider_dotypos.sandbox.faults import Fault, Request
    from airflow_provider_dotypos.sandbox.furnished import Shop
    from airflow_provider_dotypos.sandbox.limit import Limit
    from airflow_provider_dotypos.sandbox.server import Sandbox

__all__ = ["Behaviour", "Fault", "Limit", "Request", "Sandbox", "Shop"]

# Imported when asked for: Airflow's command line looks at the options alone, and whoever needs only the data shouldn't
# wait for the server.
_HOMES = {
    "Behaviour": "behaviour",
    "Fault": "faults",
    "Limit": "limit",
    "Request": "faults",
    "Sandbox": "server",
    "Shop": "furnished",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
