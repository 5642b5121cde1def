"""A connection by its id, for the commands: if it can't be had, the person is told why."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_dotypos.connect.grant import ConnectError
from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.stored import StoredConnection, WrongConnectionError


def look_up(conn_id: str) -> StoredConnection | None:
    """Return a connection of ours from where Airflow would take it; ``None`` if there is none.

    :raises ConnectError: it is of another type or can't be read, or Airflow can't be asked.
    """
    try:
        found = stored.find(conn_id)
    except WrongConnectionError as error:
        raise ConnectError(str(error)) from None
    except Exception as error:  # of whatever driver the database has
        raise ConnectError(
            f"Airflow's database can't be asked for the connection {conn_id} ({kind_of(error)}). AIRFLOW_HOME is "
            f"{_airflow_home()}: if that isn't your Airflow, set it; if its database has no tables yet, run "
            "`airflow db migrate`."
        ) from error
    # Airflow passes over a variable that it can't read.
    if found is None and (variable := f"AIRFLOW_CONN_{conn_id.upper()}") in os.environ:
        raise ConnectError(
            f"{variable} is there, but can't be read: it must hold the connection as JSON or as a URI, its extra a "
            "JSON object (encoded once)."
        )
    return found


def kind_of(error: Exception) -> str:
    """Return the kind of an error and what the database's driver said; the rest may hold what was to be stored."""
    said = str(getattr(error, "orig", None) or "").partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _airflow_home() -> Path:
    """Return where Airflow looks for its configuration, and for a database that isn't configured."""
    return Path(os.path.expandvars(os.environ.get("AIRFLOW_HOME", "~/airflow"))).expanduser()
