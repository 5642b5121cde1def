"""What happens before somebody goes to Dotypos: what was typed is checked and stored, and the way out is signed.

A journey is of one application and one host, as they were when it began. Its state holds a digest of them, so that
nothing is signed or sent that somebody else has put into the connection since.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.settings import read_base_url
from airflow_provider_dotypos.connect.grant import CALLBACK, Application, ConnectorForm, client_id_problem
from airflow_provider_dotypos.connect.page.arrival import find
from airflow_provider_dotypos.connect.page.visitor import RefusedError, Visitor, back_at
from airflow_provider_dotypos.connections import audit, stored
from airflow_provider_dotypos.connections.stored import StoredConnection, WrongConnectionError

CHANGED = "The connection was changed meanwhile."


@dataclass(frozen=True)
class Typed:
    """What was typed on the page; what was left empty stays as it is."""

    conn_id: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    host: str = ""

    @property
    def changes(self) -> dict[str, Any]:
        """The fields to be written, by Airflow's names."""
        typed: dict[str, Any] = {"login": self.client_id, "password": self.client_secret, "host": self.host}
        changes = {name: text for name, text in typed.items() if text}
        return {**changes, "port": None} if self.host else changes  # the port belongs to the host before


def begin(visit: Visitor, found: StoredConnection | None, typed: Typed, *, legacy: bool, shown: str) -> str:
    """Store what was typed, and return the state of the journey that begins.

    :param found: the connection; ``None`` makes one.
    :param shown: the API base URL that the visitor was shown, empty if there was none to show.
    :raises WrongConnectionError: something is missing, or can't be.
    :raises DotyposConfigurationError: the API base URL can't be one.
    """
    application = _application(found, typed)
    if found is not None and not typed.host and shown not in ("", application.base_url):
        raise WrongConnectionError(f"{CHANGED} Its API base URL is now {application.base_url}: look at it again.")
    if legacy and not (typed.client_secret and (found is None or found.writable)):
        # Its address holds the secret: who may edit a connection doesn't get to see that of another person.
        raise WrongConnectionError("The deprecated connector needs the Client Secret typed in: its address holds it.")
    if found is None:
        visit.require_edit(None)
        require_unused(typed.conn_id)
        stored.create(typed.conn_id, user=visit.user_name, **typed.changes)
    elif found.writable:
        stored.update(typed.conn_id, user=visit.user_name, **typed.changes)
    journey = secrets.token_urlsafe(16)
    audit.begin(journey, typed.conn_id, visit.user_name)
    return visit.seal(
        "state",
        conn_id=typed.conn_id,
        journey=journey,
        back=back_at(visit.request),
        legacy=legacy,
        at=application.base_url,
        application=_digest(visit, application),
    )


def way_out(visit: Visitor, state: str, journey: Mapping[str, Any]) -> ConnectorForm:
    """Return the form that takes the visitor to Dotypos, signed now.

    :param state: goes along as it was sealed when the journey began, so that no step moves the journey's deadline.
    """
    found = find(visit, str(journey["conn_id"]))
    try:
        application = _application(found)
    except (WrongConnectionError, DotyposConfigurationError) as error:
        raise RefusedError(400, f"{CHANGED} {error}") from None
    if not compare_digest(str(journey.get("application")), _digest(visit, application)):
        raise RefusedError(
            400,
            f"{CHANGED} Client ID, Client Secret or API base URL isn't what it was when you began, so you weren't sent "
            "to Dotypos. Look at the connection, and connect again.",
        )
    return application.way_out(f"{journey['back']}/{CALLBACK}", state, legacy=bool(journey["legacy"]))


def require_unused(conn_id: str) -> None:
    """Raise unless a new connection can have this id: no connection uses it, in any place."""
    stored.check_new_id(conn_id)
    if stored.find(conn_id) is not None:
        raise WrongConnectionError(f"There is a connection {conn_id} already; choose another id, or connect that one.")


def _digest(visit: Visitor, application: Application) -> str:
    return visit.digest("application", application.client_id, application.client_secret, application.base_url)


def _application(found: StoredConnection | None, typed: Typed | None = None) -> Application:
    """Return what signs the way out: what was typed, or else what the connection holds."""
    typed = typed if typed is not None and (found is None or found.writable) else Typed("")
    held = (found.client_id, found.client_secret) if found else (None, None)
    client_id = _given("Client ID", typed.client_id or held[0], found)
    client_secret = _given("Client Secret", typed.client_secret or held[1], found)
    if problem := client_id_problem(client_id):
        raise WrongConnectionError(problem)
    _require_room("Client Secret", client_secret, 1000)
    _require_room("API base URL", typed.host, 500)  # of the database's column
    base_url = read_base_url(typed.host or (found and found.host), None if typed.host else found and found.port)
    return Application(client_id, client_secret, base_url)


def _given(name: str, value: str | None, found: StoredConnection | None) -> str:
    if value:
        return value
    where = "" if found is None or found.writable else f" in {found.held_in}; add it there first"
    raise WrongConnectionError(f"{name} is missing{where}. Dotypos gives it out with a client application.")


def _require_room(name: str, text: str, most: int) -> None:
    if len(text) > most:
        raise WrongConnectionError(f"{name} has at most {most} characters; this one has {len(text)}.")
