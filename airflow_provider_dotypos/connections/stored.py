"""Airflow connections of type ``dotypos``: read from wherever Airflow reads them, stored in its database."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.configuration import ensure_secrets_loaded
from airflow.models.connection import Connection
from airflow.secrets import BaseSecretsBackend
from airflow.secrets.environment_variables import EnvironmentVariablesBackend
from airflow.secrets.metastore import MetastoreBackend
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.extra import read_extra
from airflow_provider_dotypos.api.settings import Settings, port_of, read_base_url, read_cloud_id, read_cloud_name
from airflow_provider_dotypos.connections import audit
from airflow_provider_dotypos.connections.edits import describe_edits
from airflow_provider_dotypos.connections.errors import WrongConnectionError
from airflow_provider_dotypos.provider_info import CONN_FIELDS, CONN_TYPE

log = logging.getLogger(__name__)

DATABASE = "Airflow's database"
_ENVIRONMENT = "AIRFLOW_CONN_"

MOVED = (
    "The connection's API base URL was changed meanwhile, so the new token was neither sent there nor stored. Connect "
    "again."
)


@dataclass(frozen=True)
class StoredConnection:
    """One connection's fields, and where they are held.

    :param held_in: ``DATABASE``, or a person's name for the place that comes before it and can't be written to here.
    :param problem: why the other fields can't be read. ``None`` if they can.
    """

    conn_id: str
    held_in: str
    client_id: str | None
    client_secret: str | None = field(repr=False)
    host: str | None
    port: int | None
    extra: Mapping[str, Any] = field(repr=False)
    problem: str | None = None

    @property
    def base_url(self) -> str | None:
        """The API that it leads to; ``None`` if its address is unusable."""
        return _base_url(self.host, self.port, self.extra)

    @property
    def writable(self) -> bool:
        """Whether a token can be stored here."""
        return self.held_in == DATABASE

    @property
    def cloud_id(self) -> str | None:
        """The number of the cloud that it works in; as it is written if it can't be a number."""
        value = self.extra.get("cloud_id")
        try:
            number = read_cloud_id(value)
        except DotyposConfigurationError:
            return str(value)
        return None if number is None else str(number)

    @property
    def cloud_name(self) -> str | None:
        """The name of that cloud, if the connection holds it."""
        return read_cloud_name(self.extra.get("cloud_name"))

    @property
    def cloud(self) -> str | None:
        """That cloud as people are shown it: its name and number, or its number alone."""
        return f"{self.cloud_name} ({self.cloud_id})" if self.cloud_id and self.cloud_name else self.cloud_id

    @property
    def connected(self) -> bool:
        """Whether it holds a refresh token, good or not."""
        return self.extra.get("refresh_token") not in (None, "")

    def settings(
        self,
        extra: Mapping[str, Any] | None = None,
        *,
        cloud_id: int | None = None,
        max_concurrency: int | None = None,
    ) -> Settings:
        """Return how to reach its cloud.

        :param extra: takes the place of what its own extra holds.
        :param cloud_id: overrides the connection's.
        :param max_concurrency: overrides the connection's.
        :raises DotyposConfigurationError: if a field is missing or unusable.
        """
        return Settings.from_fields(
            host=self.host,
            port=self.port,
            extra={**self.extra, **(extra or {})},
            cloud_id=cloud_id,
            max_concurrency=max_concurrency,
        )

    def with_grant(self, extra: Mapping[str, Any]) -> str:
        """Return the connection with what was granted, as JSON for a secrets backend.

        The client secret is omitted. It is needed to connect a cloud, not to extract, and can stay where it is held.
        """
        fields = {"conn_type": CONN_TYPE, "login": self.client_id, "host": self.host, "port": self.port}
        merged = {key: value for key, value in {**self.extra, **extra}.items() if value is not None}
        return json.dumps({**{key: value for key, value in fields.items() if value}, "extra": merged})


def list_all() -> list[StoredConnection]:
    """Return the dotypos connections in the database and in the environment.

    Secrets backends aren't asked: they answer for a given id only.
    """
    with create_session() as session:
        ids = list(session.scalars(select(Connection.conn_id).where(Connection.conn_type == CONN_TYPE)))
    stored = {conn_id.upper() for conn_id in ids}
    named = (name.removeprefix(_ENVIRONMENT) for name in os.environ if name.startswith(_ENVIRONMENT))
    # Airflow looks environment variables up in upper case; DAGs mostly write ids in lower case.
    ids += [name.lower() for name in named if name not in stored]
    connections = map(_first, sorted(ids))
    return [connection for connection in connections if isinstance(connection, StoredConnection)]


def check_id(conn_id: str) -> None:
    """Check that a text can be the id of a connection.

    :raises WrongConnectionError: if it can't.
    """
    if not re.fullmatch(r"[\w#!()\-.:/\\]{1,250}", conn_id):
        raise WrongConnectionError(
            "A connection id is 1 to 250 letters, digits and the characters # ! ( ) - . : / \\ _, without blanks."
        )


def check_new_id(conn_id: str) -> None:
    """Check that a text can be the id of a new connection, which Airflow's own form accepts and can edit.

    :raises WrongConnectionError: if it can't.
    """
    if not re.fullmatch(r"[\w.-]{1,200}", conn_id):
        raise WrongConnectionError(
            "A connection id is 1 to 200 letters, digits, dots, hyphens and underscores, without blanks."
        )


def find(conn_id: str) -> StoredConnection | None:
    """Return a connection from where Airflow would take it; ``None`` if none exists.

    :raises WrongConnectionError: if it is of another type or unreadable, or if its id can't be one.
    """
    check_id(conn_id)
    connection = _first(conn_id)
    if isinstance(connection, str):
        raise WrongConnectionError(f"The connection {conn_id} is of another type ({connection}), not {CONN_TYPE}.")
    if connection is not None and connection.problem is not None:
        raise WrongConnectionError(connection.problem)
    return connection


def require_unused(conn_id: str) -> None:
    """Check that a new connection can have an id: no connection uses it, in any backend.

    :raises WrongConnectionError: if it can't.
    """
    check_new_id(conn_id)
    if find(conn_id) is not None:
        raise _taken(conn_id)


def create(conn_id: str, *, extra: Mapping[str, Any] | None = None, user: str | None = None, **fields: Any) -> None:
    """Create a connection in the database.

    :param user: whose edit this is in the audit log. Without a user it isn't logged.
    :param fields: ``login``, ``password``, ``host``, ``port``.
    :raises WrongConnectionError: if the id is taken or can't be one.
    """
    check_new_id(conn_id)
    try:
        with create_session() as session:
            new = Connection(conn_id=conn_id, conn_type=CONN_TYPE, **fields)
            _fill_in(new, extra or {})
            session.add(new)
            if user is not None:
                audit.note_edit(session, audit.MADE, conn_id, describe_edits({}, _fields_of(new)), user)
    except IntegrityError:
        raise _taken(conn_id) from None


def update(
    conn_id: str,
    *,
    extra: Mapping[str, Any] | None = None,
    base_url: str | None = None,
    user: str | None = None,
    **fields: Any,
) -> None:
    """Write some fields of a connection in the database.

    A connection that is pointed at another host forgets its refresh token. Otherwise an editor, who can't read the
    token, could have it sent to a host of theirs.

    :param extra: merged into the connection's own.
    :param base_url: the API base URL that the connection must have before. Defaults to any.
    :param user: whose edit this is in the audit log. Without a user it isn't logged.
    :param fields: ``login``, ``password``, ``host``, ``port``.
    :raises WrongConnectionError: if the connection doesn't exist or has another API base URL, or if its extra isn't a
        JSON object.
    """
    with create_session() as session:
        connection = session.scalar(select(Connection).where(Connection.conn_id == conn_id).with_for_update())
        if connection is None:
            raise WrongConnectionError(f"The connection {conn_id} has been deleted meanwhile.")
        before, kept = _fields_of(connection), _extra_of(connection)
        old_base_url = _base_url(connection.host, connection.port, kept)
        if base_url not in (None, old_base_url):
            raise WrongConnectionError(MOVED)
        for name, value in fields.items():
            setattr(connection, name, value)
        moved = _base_url(connection.host, connection.port, kept) != old_base_url
        if moved:
            kept.pop("refresh_token", None)
        if moved or extra is not None:
            _fill_in(connection, {**kept, **(extra or {})})
        changes = describe_edits(before, _fields_of(connection))
        if user is not None and changes:
            audit.note_edit(session, audit.CHANGED, conn_id, changes, user)


def find_team(conn_id: str) -> str | None:
    """Return the team that a stored connection belongs to, for Airflow's auth manager."""
    team: str | None = Connection.get_team_name(conn_id)
    return team


def _first(conn_id: str) -> StoredConnection | str | None:
    """Return a connection of ours, or the type of another one, from the first place that has it, as Airflow does."""
    for backend in ensure_secrets_loaded():
        try:
            connection = _from(backend, conn_id)
            if connection is None:
                continue
            if connection.conn_type and connection.conn_type != CONN_TYPE:
                return connection.conn_type
            return StoredConnection(
                conn_id=conn_id,
                held_in=_place(backend, conn_id),
                client_id=connection.login,
                client_secret=connection.password,
                host=connection.host,
                port=connection.port,
                extra=_extra_of(connection),
            )
        except SQLAlchemyError:
            raise
        except WrongConnectionError as error:
            return _unreadable(conn_id, backend, str(error))
        except Exception as error:  # of the decryption; Airflow's versions differ in what they raise
            kind = type(error).__name__
            problem = f"The connection {conn_id} can't be decrypted ({kind}); was the Fernet key changed?"
            return _unreadable(conn_id, backend, problem)
    return None


def _unreadable(conn_id: str, backend: BaseSecretsBackend, problem: str) -> StoredConnection:
    """Return a connection that holds its problem only, so that it doesn't hide the others."""
    log.warning("%s", problem)
    return StoredConnection(
        conn_id, _place(backend, conn_id), None, None, host=None, port=None, extra={}, problem=problem
    )


def _extra_of(connection: Connection) -> dict[str, Any]:
    """Return a connection's extras.

    :raises WrongConnectionError: if they aren't a JSON object, which some ways into Airflow let through.
    """
    try:
        return dict(read_extra(connection))
    except DotyposConfigurationError as error:
        raise WrongConnectionError(f"The connection {connection.conn_id} can't be used: {error}.") from None


def _fill_in(connection: Connection, extra: Mapping[str, Any]) -> None:
    """Write a connection's extra, and what Airflow's UI needs of a connection but a task doesn't.

    The form for editing shows the stored extras only, and the Test button of Airflow 3.3.2 needs a stored port.
    """
    connection.extra = json.dumps({**dict.fromkeys(CONN_FIELDS), **extra})
    base_url = _base_url(connection.host, connection.port, extra)
    if not connection.port and base_url is not None:
        connection.port = port_of(base_url)


def _fields_of(connection: Connection) -> dict[str, Any]:
    """Return a connection's fields by the names that people know them by."""
    standard = {"client_id": connection.login, "client_secret": connection.password}
    return {**_extra_of(connection), **standard, "host": connection.host, "port": connection.port}


def _base_url(host: str | None, port: int | None, extra: Mapping[str, Any]) -> str | None:
    try:
        return read_base_url(host, port, extra)
    except DotyposConfigurationError:
        return None


def _from(backend: BaseSecretsBackend, conn_id: str) -> Connection | None:
    if isinstance(backend, MetastoreBackend):
        # Not through the backend, which hides a team's connections. People who may edit them should find them.
        with create_session() as session:
            connection: Connection | None = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
            if connection is not None:
                session.expunge(connection)
            return connection
    try:
        connection = backend.get_connection(conn_id=conn_id)
        return connection
    except Exception as error:  # whatever a backend raises; Airflow asks the next one, too
        log.warning("%s can't be asked for %s: %s", type(backend).__name__, conn_id, type(error).__name__)
        return None


def _place(backend: BaseSecretsBackend, conn_id: str) -> str:
    if isinstance(backend, MetastoreBackend):
        return DATABASE
    if isinstance(backend, EnvironmentVariablesBackend):
        return f"the environment variable {_ENVIRONMENT}{conn_id.upper()}"
    return f"the secrets backend {type(backend).__name__}"


def _taken(conn_id: str) -> WrongConnectionError:
    return WrongConnectionError(f"The connection {conn_id} already exists. Choose another id, or connect that one.")
