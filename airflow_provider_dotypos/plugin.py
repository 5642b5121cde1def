"""What Airflow learns of the page: where it is mounted, and the entry *Connect Dotypos* in the menu *Admin*.

Airflow loads plugins in every process, workers among them, so the page itself is imported by the first visit.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

NAME = "Connect Dotypos"
PATH = "/dotypos"


async def page(scope: Any, receive: Any, send: Any) -> None:
    """Answer by the page (an ASGI application)."""
    from airflow_provider_dotypos.connect.page.web import app

    own = dict(scope)
    # The server logs a request's address once it is answered, and that to which Dotypos sends people back holds the
    # token. So the page keeps the query for itself, whatever is asked.
    scope["query_string"] = b""
    await app(own, receive, send)


class ConnectDotyposPlugin(AirflowPlugin):
    """The page on which clouds are connected."""

    name = "dotypos"
    fastapi_apps = [{"app": page, "url_prefix": PATH, "name": NAME}]  # noqa: RUF012 (Airflow's own form)
    # Relative, so that a path prefix of Airflow's holds; without a route, because the page leaves for Dotypos, which no
    # frame of Airflow's may.
    external_views = [  # noqa: RUF012
        {"name": NAME, "href": f"{PATH.strip('/')}/", "destination": "nav", "category": "admin"}
    ]
