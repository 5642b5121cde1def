"""The way out to Dotypos: what was typed is checked and stored, and a form is signed.

A journey keeps to the application and the host that it began with. Its state holds a digest of them, so that nothing
is signed or sent that somebody else has put into the connection since.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.settings import read_base_url
from airflow_provider_dotypos.connect.credentials import client_id_problem
from airflow_provider_dotypos.connect.grant import Application, ConnectorForm
from airflow_provider_dotypos.connect.page.visitor import RefusedError, Visitor, back_at
from airflow_provider_dotypos.connect.routes import CALLBACK
from airflow_provider_dotypos.connections import audit, stored
from airflow_provider_dotypos.connections.errors import WrongConnectionError
from airflow_provider_dotypos.connections.stored import StoredConnection

CHANGED = "The connection was changed meanwhile."


@dataclass(frozen=True)
class Typed:
    """What was typed on the page. An empty field leaves the connection's own as it is."""

    conn_id: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    host: str = ""

    @property
    def changes(self) -> dict[str, Any]:
        """The fields to write, by Airflow's names."""
        typed: dict[str, Any] = {"login": self.client_id, "password": self.client_secret, "host": self.host}
        changes = {name: text for name, text in typed.items() if text}
        return {**changes, "port": None} if self.host else changes  # the port belongs to the host before


def begin(visit: Visitor, connection: StoredConnection | None, typed: Typed, *, legacy: bool, shown: str) -> str:
    """Store what was typed, and return the state of the journey that begins.

    :param connection: ``None`` creates one.
    :param shown: the API base URL that the visitor was shown, empty if there was none to show.
    :raises WrongConnectionError: if something is missing or unusable.
    :raises DotyposConfigurationError: if the API base URL is unusable.
    """
    application = _application(connection, typed)
    if connection is not None and not typed.host and shown not in ("", application.base_url):
        raise WrongConnectionError(f"{CHANGED} Its API base URL is now {application.base_url}: look at it again.")
    if legacy and not (typed.client_secret and (connection is None or connection.writable)):
        # Its address holds the secret, and editing a connection doesn't include seeing another person's secret.
        raise WrongConnectionError("The deprecated connector needs the Client Secret typed in: its address holds it.")
    if connection is None:
        visit.require_edit(None)
        stored.require_unused(typed.conn_id)
        stored.create(typed.conn_id, user=visit.user_name, **typed.changes)
    elif connection.writable:
        stored.update(typed.conn_id, user=visit.user_name, **typed.changes)
    journey = secrets.token_urlsafe(16)
    audit.note_departure(journey, typed.conn_id, visit.user_name)
    return visit.seal(
        "state",
        conn_id=typed.conn_id,
        journey=journey,
        back=back_at(visit.request),
        legacy=legacy,
        at=application.base_url,
        application=_digest(visit, application),
    )


def leave(visit: Visitor, sealed: str, state: Mapping[str, Any]) -> ConnectorForm:
    """Return the form that takes the visitor to Dotypos, signed now.

    :param sealed: the state as it was sealed when the journey began. It goes along unchanged, so that no step moves
        the journey's deadline.
    """
    connection = visit.find(str(state["conn_id"]))
    try:
        application = _application(connection)
    except (WrongConnectionError, DotyposConfigurationError) as error:
        raise RefusedError(400, f"{CHANGED} {error}") from None
    if not compare_digest(str(state.get("application")), _digest(visit, application)):
        raise RefusedError(
            400,
            f"{CHANGED} Client ID, Client Secret or API base URL isn't what it was when you began, so you weren't sent "
            "to Dotypos. Look at the connection, and connect again.",
        )
    return application.sign_form(f"{state['back']}/{CALLBACK}", sealed, legacy=bool(state["legacy"]))


def _digest(visit: Visitor, application: Application) -> str:
    return visit.digest("application", application.client_id, application.client_secret, application.base_url)


def _application(connection: StoredConnection | None, typed: Typed | None = None) -> Application:
    """Return the application that signs the form: as typed, or else as the connection holds it."""
    typed = typed if typed is not None and (connection is None or connection.writable) else Typed("")
    held = (connection.client_id, connection.client_secret) if connection else (None, None)
    client_id = _required("Client ID", typed.client_id or held[0], connection)
    client_secret = _required("Client Secret", typed.client_secret or held[1], connection)
    if problem := client_id_problem(client_id):
        raise WrongConnectionError(problem)
    _require_room("Client Secret", client_secret, 1000)
    _require_room("API base URL", typed.host, 500)  # of the database's column
    host, port = (connection.host, connection.port) if connection and not typed.host else (typed.host, None)
    extra = connection.extra if connection else {}
    return Application(client_id, client_secret, read_base_url(host, port, extra))


def _required(name: str, value: str | None, connection: StoredConnection | None) -> str:
    if value:
        return value
    where = "" if connection is None or connection.writable else f" in {connection.held_in}; add it there first"
    raise WrongConnectionError(f"{name} is missing{where}. Dotypos issues it with a client application.")


def _require_room(name: str, text: str, most: int) -> None:
    if len(text) > most:
        raise WrongConnectionError(f"{name} has at most {most} characters; this one has {len(text)}.")
