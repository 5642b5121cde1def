"""Look a connection up for a command, and say what to do if that fails."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.errors import ConnectError
from airflow_provider_dotypos.connections.stored import StoredConnection


def look_up(conn_id: str) -> StoredConnection | None:
    """Return a connection of ours from where Airflow would take it; ``None`` if none exists.

    :raises ConnectError: if it is of another type or unreadable, or if Airflow's database doesn't answer.
    """
    try:
        connection = stored.find(conn_id)
    except ConnectError:
        raise
    except Exception as error:  # of whatever driver the database has
        raise ConnectError(
            f"Airflow's database can't be asked for the connection {conn_id} ({describe(error)}). AIRFLOW_HOME is "
            f"{airflow_home()}: if that isn't your Airflow, set it; if its database has no tables yet, run "
            "`airflow db migrate`."
        ) from error
    # Airflow passes over a variable that it can't read.
    if connection is None and (variable := f"AIRFLOW_CONN_{conn_id.upper()}") in os.environ:
        raise ConnectError(
            f"{variable} is set but can't be read: it must hold the connection as JSON or as a URI, with its extra as "
            "a JSON object (encoded once)."
        )
    return connection


def describe(error: Exception) -> str:
    """Return an error's type and what the database's driver said; the rest may hold what was to be stored."""
    message = str(getattr(error, "orig", None) or "").partition("\n")[0]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def airflow_home() -> Path:
    """Return where Airflow looks for its configuration, and for a database that isn't configured."""
    return Path(os.path.expandvars(os.environ.get("AIRFLOW_HOME", "~/airflow"))).expanduser()
