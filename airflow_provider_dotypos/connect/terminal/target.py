"""Where the command takes a token to: a connection, new or existing, or the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from airflow.sdk import Connection

from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.settings import DEFAULT_BASE_URL, read_base_url
from airflow_provider_dotypos.connect.grant import Grant
from airflow_provider_dotypos.connect.journey import Target
from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.errors import ConnectError
from airflow_provider_dotypos.connections.lookup import look_up
from airflow_provider_dotypos.connections.stored import DATABASE, StoredConnection

Format = Literal["json", "uri"]


class UsageError(Exception):
    """The command's options don't go together, or one of them can't be used."""


@dataclass(frozen=True)
class ChosenTarget:
    """The target that the command's options choose.

    :param conn_id: the connection's id. ``None`` if the connection is only printed.
    :param expected: the cloud that the person must choose. ``None`` for any.
    """

    conn_id: str | None
    target: Target
    expected: str | None

    @classmethod
    def of(cls, conn_id: str | None, host: str | None, cloud_id: int | None, *, replace_cloud: bool) -> ChosenTarget:
        """Return the target that options choose.

        :raises ConnectError: if the connection is unusable, or Airflow's database doesn't answer.
        :raises UsageError: if the options don't go together.
        """
        existing = _find(conn_id) if conn_id is not None else None
        connection, fields = existing or _blank(conn_id), {}
        if host is not None:
            fields = _split(host, connection.extra)
            connection = replace(connection, **fields)
        own_cloud = connection.cloud_id
        if cloud_id is not None and own_cloud not in (None, str(cloud_id)) and not replace_cloud:
            raise UsageError(f"{conn_id} works in cloud {own_cloud}. Add --replace to connect it to cloud {cloud_id}.")
        expected = str(cloud_id) if cloud_id is not None else None if replace_cloud else own_cloud
        target = Target(
            connection,
            is_new=existing is None,
            fields=fields,
            base_url=connection.base_url if existing and not fields else None,  # which must stay as it is
            may_change_cloud=True,  # the options have decided, before anybody leaves for Dotypos
        )
        return cls(conn_id, target, expected)

    @property
    def base_url(self) -> str:
        """The API to connect to."""
        connection = self.target.connection
        return read_base_url(connection.host, connection.port, connection.extra)

    @property
    def facts(self) -> dict[str, str | None]:
        """What pages show of it: its id, the cloud to choose, and its own cloud."""
        return {"conn_id": self.conn_id, "expected": self.expected, "current": self.target.connection.cloud}

    @property
    def destination(self) -> str:
        """What happens to a working token. Completes a sentence."""
        if self.conn_id is None:
            return "the command prints the connection, and stores nothing."
        if not self.target.connection.writable:
            return f"the command prints what to put into {self.target.connection.held_in}, where it can't write."
        return f"the command stores the token and the cloud's id in Airflow's database, as {self.conn_id}."

    def require_expected(self, grant: Grant) -> None:
        """Refuse a cloud other than the expected one.

        :raises ConnectError: if the person chose another one.
        """
        if self.expected not in (None, str(grant.cloud_id)):
            may_change = self.target.connection.cloud_id is not None
            change = f", or let {self.conn_id} change its cloud by --replace" if may_change else ""
            raise ConnectError(
                f"Cloud {grant.cloud_id} was chosen on Dotypos's page, not cloud {self.expected}. Nothing was stored. "
                f"Run the command again and choose cloud {self.expected}{change}."
            )

    def with_credentials(self, client_id: str | None, client_secret: str | None) -> Target:
        """Return the target, with the credentials to store beside the token."""
        typed = {"login": client_id, "password": client_secret}
        given = {name: value for name, value in typed.items() if value}
        return replace(self.target, fields={**given, **self.target.fields})

    def write_out(self, grant: Grant, client_id: str | None, form: Format) -> str:
        """Return the connection for a secrets backend or an environment variable, without the client secret."""
        connection = self.target.connection
        value = replace(connection, client_id=client_id or connection.client_id).with_grant(grant.extra)
        return value if form == "json" else _uri(value)


def _find(conn_id: str) -> StoredConnection | None:
    connection = look_up(conn_id)
    if connection is None:
        stored.check_new_id(conn_id)  # now, before anybody goes to Dotypos for it
    return connection


def _blank(conn_id: str | None) -> StoredConnection:
    held_in = "nowhere yet" if conn_id is None else DATABASE
    return StoredConnection(conn_id or "", held_in, client_id=None, client_secret=None, host=None, port=None, extra={})


def _split(host: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return a base URL's host and port as the connection's form has them; the default needs neither."""
    try:
        base_url = read_base_url(host, None, extra)
    except DotyposConfigurationError as error:
        raise UsageError(f"--host can't be used: {error}.") from None
    if base_url == DEFAULT_BASE_URL:
        return {"host": None, "port": None}
    parts = urlsplit(base_url)
    without_port = parts._replace(netloc=parts.netloc.removesuffix(f":{parts.port}"))
    return {"host": without_port.geturl(), "port": parts.port}


def _uri(value: str) -> str:
    """Return a connection's JSON as Airflow's URI."""
    fields = json.loads(value)
    # A number among the extras makes Airflow write them as one JSON value. Otherwise Airflow would read each of them as
    # JSON again, and a token that looks like a number would become one.
    extra = fields.pop("extra")
    extra["cloud_id"] = int(extra["cloud_id"])
    return str(Connection(conn_id="printed", **fields, extra=json.dumps(extra)).get_uri())
