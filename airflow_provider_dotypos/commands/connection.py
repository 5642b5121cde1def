"""From an Airflow connection to a Dotypos client, in a process that is no task."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import CONNECT_ANEW, DotyposConfigurationError
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.hooks.dotypos import DotyposHook

#: Somebody is waiting at a terminal; being throttled is no reason to give up, though.
_PATIENCE = Patience(faults=4.0, throttling=120.0)


def read_settings(conn_id: str, cloud_id: int | None = None) -> Settings:
    """Read an Airflow connection.

    :param cloud_id: takes the place of the connection's own.
    :raises DotyposConfigurationError: there is no such connection, or it holds something unusable.
    """
    try:
        with _as_airflows_own_commands():
            return DotyposHook(conn_id, cloud_id).get_conn().settings
    except Exception as error:
        # By its name, as Airflow's versions keep it in different places.
        if type(error).__name__ != "AirflowNotFoundException":
            raise
        raise DotyposConfigurationError(
            f"There is no connection {conn_id!r} in this Airflow (none that can be read, in its database, the "
            f"environment or a secrets backend). Connect a cloud ({CONNECT_ANEW}), or name another with --conn-id."
        ) from None


def new_client(settings: Settings) -> DotyposClient:
    """Return a client that keeps to the connection's limits, but doesn't try for minutes."""
    return DotyposClient(settings, on_token=_compat.mask_secret, patience=_PATIENCE)


@contextmanager
def _as_airflows_own_commands() -> Iterator[None]:
    """Let Airflow look for connections in its metadata database as well.

    Outside of a task it does so in what it knows for a server; ``airflow connections get`` and ``test`` say they are
    one in just this way, on 3.1, 3.2 and 3.3.
    """
    name = "_AIRFLOW_PROCESS_CONTEXT"
    before = os.environ.get(name)
    os.environ[name] = "server"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
