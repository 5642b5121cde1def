"""Where the command takes a token to: a connection, new or existing, or the terminal."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from airflow.sdk import Connection

from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.settings import DEFAULT_BASE_URL, read_base_url
from airflow_provider_dotypos.connect.grant import Grant
from airflow_provider_dotypos.connect.journey import Target
from airflow_provider_dotypos.connections import stored
from airflow_provider_dotypos.connections.errors import ConnectError, UsageError
from airflow_provider_dotypos.connections.lookup import look_up
from airflow_provider_dotypos.connections.stored import DATABASE, StoredConnection

Format = Literal["json", "uri"]


@dataclass(frozen=True)
class ChosenConnection:
    """The connection that the command's options choose.

    :param conn_id: its id. ``None`` if it is only printed.
    :param connection: it as it is, or as it will be created, with the host to connect to.
    :param expected: the cloud that the person must choose. ``None`` for any.
    :param is_new: it doesn't exist yet.
    :param other_host: its host will be changed.
    """

    conn_id: str | None
    connection: StoredConnection
    expected: str | None
    is_new: bool
    other_host: bool

    @classmethod
    def of(
        cls, conn_id: str | None, host: str | None, cloud_id: int | None, *, replace_cloud: bool
    ) -> ChosenConnection:
        """Return the connection that options choose.

        :raises ConnectError: if the connection is unusable, or Airflow's database doesn't answer.
        :raises UsageError: if the options don't go together.
        """
        existing = _find(conn_id) if conn_id is not None else None
        connection = existing or _blank(conn_id)
        if host is not None:
            own_host, port = _split(host)
            connection = replace(connection, host=own_host, port=port)
        own_cloud = (connection.cloud_id or "").strip() or None
        if cloud_id is not None and own_cloud not in (None, str(cloud_id)) and not replace_cloud:
            raise UsageError(f"{conn_id} works in cloud {own_cloud}. Add --replace to connect it to cloud {cloud_id}.")
        expected = str(cloud_id) if cloud_id is not None else None if replace_cloud else own_cloud
        return cls(conn_id, connection, expected, existing is None, host is not None)

    @property
    def base_url(self) -> str:
        """The API to connect to."""
        return read_base_url(self.connection.host, self.connection.port)

    @property
    def destination(self) -> str:
        """What happens to a working token. Completes a sentence."""
        if self.conn_id is None:
            return "the command prints the connection, and stores nothing."
        if not self.connection.writable:
            return f"the command prints what to put into {self.connection.held_in}, where it can't write."
        return f"the command stores the token and the cloud's id in Airflow's database, as {self.conn_id}."

    def require_expected(self, grant: Grant) -> None:
        """Refuse a cloud other than the expected one.

        :raises ConnectError: if the person chose another one.
        """
        if self.expected not in (None, str(grant.cloud_id)):
            change = f", or let {self.conn_id} change its cloud by --replace" if self.connection.cloud_id else ""
            raise ConnectError(
                f"Cloud {grant.cloud_id} was chosen on Dotypos's page, not cloud {self.expected}. Nothing was stored. "
                f"Run the command again and choose cloud {self.expected}{change}."
            )

    def target(self, client_id: str | None, client_secret: str | None) -> Target:
        """Return where a token goes, with the credentials to store beside it."""
        typed = {"login": client_id, "password": client_secret}
        fields: dict[str, Any] = {name: value for name, value in typed.items() if value}
        if self.other_host:
            fields |= {"host": self.connection.host, "port": self.connection.port}
        base_url = None if self.is_new or self.other_host else self.base_url  # where the token is tried
        # Which cloud it may be was decided by the options, before anybody left for Dotypos.
        return Target(self.connection, is_new=self.is_new, fields=fields, base_url=base_url, may_change_cloud=True)

    def write_out(self, grant: Grant, client_id: str | None, form: Format) -> str:
        """Return the connection for a secrets backend or an environment variable, without the client secret."""
        value = replace(self.connection, client_id=client_id or self.connection.client_id).with_grant(grant.extra)
        return value if form == "json" else _uri(value)


def _find(conn_id: str) -> StoredConnection | None:
    connection = look_up(conn_id)
    if connection is None:
        stored.check_new_id(conn_id)  # now, before anybody goes to Dotypos for it
    return connection


def _blank(conn_id: str | None) -> StoredConnection:
    held_in = "nowhere yet" if conn_id is None else DATABASE
    return StoredConnection(conn_id or "", held_in, client_id=None, client_secret=None, host=None, port=None, extra={})


def _split(host: str) -> tuple[str | None, int | None]:
    """Return a base URL's host and port as the connection's form has them; the default needs neither."""
    try:
        base_url = read_base_url(host, None)
    except DotyposConfigurationError as error:
        raise UsageError(f"--host can't be used: {error}.") from None
    if base_url == DEFAULT_BASE_URL:
        return None, None
    parts = urlsplit(base_url)
    if parts.port is None:
        return base_url, None
    return parts._replace(netloc=parts.netloc.removesuffix(f":{parts.port}")).geturl(), parts.port


def _uri(value: str) -> str:
    """Return a connection's JSON as Airflow's URI."""
    fields = json.loads(value)
    # A number among the extras makes Airflow write them as one JSON value. Otherwise Airflow would read each of them as
    # JSON again, and a token that looks like a number would become one.
    extra = fields.pop("extra")
    extra["cloud_id"] = int(extra["cloud_id"])
    return str(Connection(conn_id="printed", **fields, extra=json.dumps(extra)).get_uri())
