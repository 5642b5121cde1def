"""The door for web applications: where Airflow's API server mounts them, and their entries in its menu.

Airflow loads plugins in every process, workers among them. So an application is imported by its first visitor.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_dotypos.connect.routes import PATH
from airflow_provider_dotypos.provider_info import WEBHOOKS_PATH

NAME = "Connect Dotypos"


def app_of(module: str, *, secret_path: bool = False) -> Any:
    """Return the application (ASGI) that a module holds as ``app``; it is imported when it answers first.

    The server logs a request's address once it is answered. The application keeps the secret part to itself, whatever
    is asked: the query, in which Dotypos sends people back with a token, and the path of a webhook.

    :param secret_path: whether the path below the application's own is secret, too.
    """

    imported: Any = None

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        nonlocal imported
        own = dict(scope)
        scope["query_string"] = b""
        if secret_path:
            scope["path"] = scope["root_path"]
            scope["raw_path"] = scope["root_path"].encode()
        if imported is None:
            # It takes some tenths of a second, for which all of the API server would stand still.
            imported = await asyncio.to_thread(import_module, module)
        await imported.app(own, receive, send)

    return answer


class ConnectDotyposPlugin(AirflowPlugin):
    """The applications, one a line, and the entry *Connect Dotypos* in the menu *Admin*."""

    name = "dotypos"
    fastapi_apps = [  # noqa: RUF012 (Airflow's own form)
        {"app": app_of("airflow_provider_dotypos.connect.page.web"), "url_prefix": PATH, "name": NAME},
        {
            "app": app_of("airflow_provider_dotypos.webhooks.receiver", secret_path=True),
            "url_prefix": WEBHOOKS_PATH,
            "name": "Dotypos webhooks",
        },
    ]
    # Relative, so that Airflow's path prefix holds. Without a route, because the page leaves for Dotypos, which a frame
    # of Airflow's doesn't allow.
    external_views = [  # noqa: RUF012
        {"name": NAME, "href": f"{PATH.strip('/')}/", "destination": "nav", "category": "admin"},
    ]
