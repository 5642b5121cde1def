"""Where the command takes the client application's credentials from."""

from __future__ import annotations

import os
from collections.abc import Callable

from airflow_provider_dotypos.connect.credentials import CLIENT_ID, CLIENT_SECRET, client_id_problem
from airflow_provider_dotypos.connect.terminal import prompt
from airflow_provider_dotypos.connect.terminal.target import UsageError
from airflow_provider_dotypos.connections.stored import StoredConnection


def find_client_id(option: str | None, connection: StoredConnection) -> str | None:
    """Return the client id of the option, else the connection's, else the environment's; ``None`` without any.

    :raises UsageError: if it can't be one.
    """
    client_id = option or connection.client_id or os.environ.get(CLIENT_ID)
    return _checked(client_id) if client_id else None


def ask_client_id() -> str:
    """Return the client id that the person types.

    :raises UsageError: if it can't be one, or nobody can be asked.
    """
    return _checked(_ask("Client id", CLIENT_ID, prompt.ask))


def find_client_secret(connection: StoredConnection, client_id: str) -> tuple[str, str]:
    """Return the client secret, and where it came from. A connection's belongs to the connection's client id.

    :raises UsageError: if it isn't known and nobody can be asked.
    """
    if connection.client_secret and connection.client_id in (None, "", client_id):
        return connection.client_secret, f"held by {connection.conn_id}"
    if from_environment := os.environ.get(CLIENT_SECRET):
        return from_environment, f"in {CLIENT_SECRET}"
    return _ask("Client secret (it isn't shown)", CLIENT_SECRET, prompt.ask_secretly), "that was typed"


def _ask(question: str, variable: str, ask: Callable[[str], str]) -> str:
    """Return what the person types.

    :param variable: the environment variable to name if nobody can be asked.
    """
    typed = ask(f"{question}: ") if prompt.on_a_terminal() else ""
    if not typed:
        name = question.partition(" (")[0]
        raise UsageError(f"{name} is missing: set {variable}, or run on a terminal to be asked.")
    return typed


def _checked(client_id: str) -> str:
    if problem := client_id_problem(client_id):
        raise UsageError(problem)
    return client_id
