"""The door for web applications: where Airflow's API server mounts them, and their entries in its menu.

Airflow loads plugins in every process, workers among them. So an application is imported by its first visitor.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_dotypos.connect.routes import PATH

NAME = "Connect Dotypos"


def app_of(module: str) -> Any:
    """Return the application (ASGI) that a module holds as ``app``; it is imported when it answers first."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        own = dict(scope)
        # The server logs a request's address once it is answered, and the address to which Dotypos sends people back
        # holds the token. So the application keeps the query to itself, whatever is asked.
        scope["query_string"] = b""
        await import_module(module).app(own, receive, send)

    return answer


class ConnectDotyposPlugin(AirflowPlugin):
    """The applications, one a line, and the entry *Connect Dotypos* in the menu *Admin*."""

    name = "dotypos"
    fastapi_apps = [  # noqa: RUF012 (Airflow's own form)
        {"app": app_of("airflow_provider_dotypos.connect.page.web"), "url_prefix": PATH, "name": NAME},
    ]
    # Relative, so that Airflow's path prefix holds. Without a route, because the page leaves for Dotypos, which a frame
    # of Airflow's doesn't allow.
    external_views = [  # noqa: RUF012
        {"name": NAME, "href": f"{PATH.strip('/')}/", "destination": "nav", "category": "admin"},
    ]
