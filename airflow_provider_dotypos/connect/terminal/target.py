"""Where the command takes a token to: an Airflow connection, new or existing, or the terminal.

What Airflow has to say about connections is imported when it is asked: the command's options must stay light.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from airflow_provider_dotypos.api.check import Verdict
from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.settings import DEFAULT_BASE_URL, read_base_url
from airflow_provider_dotypos.connect.grant import ConnectError, Grant, try_out

if TYPE_CHECKING:
    from airflow_provider_dotypos.connections.stored import StoredConnection

Format = Literal["json", "uri"]


class UsageError(Exception):
    """The options don't go together; the message says which."""


@dataclass(frozen=True)
class Target:
    """What is to be connected.

    :param conn_id: the connection; ``None`` to have one printed.
    :param held: the connection as it is, or as it will be made, its host being the one to connect to.
    :param expected: the cloud that is to be chosen; ``None`` for any.
    :param is_new: there is no such connection yet.
    :param other_host: the host is to be changed.
    """

    conn_id: str | None
    held: StoredConnection
    expected: str | None
    is_new: bool
    other_host: bool

    @classmethod
    def of(cls, conn_id: str | None, host: str | None, cloud_id: int | None, *, replace_cloud: bool) -> Target:
        """Return the target that options name.

        :raises ConnectError: the connection can't be used or not even be asked for.
        :raises UsageError: the options don't go together.
        """
        found = _find(conn_id) if conn_id is not None else None
        held = found or _blank(conn_id or "")
        if host is not None:
            at, port = _apart(host)
            held = replace(held, host=at, port=port)
        own = (held.cloud_id or "").strip() or None
        if cloud_id is not None and own not in (None, str(cloud_id)) and not replace_cloud:
            raise UsageError(f"{conn_id} works in cloud {own}. Add --replace to connect it to cloud {cloud_id}.")
        expected = str(cloud_id) if cloud_id is not None else None if replace_cloud else own
        return cls(conn_id, held, expected, found is None, host is not None)

    @property
    def base_url(self) -> str:
        """The API to connect to."""
        return read_base_url(self.held.host, self.held.port)

    @property
    def is_printed(self) -> bool:
        """Whether the token can't be stored, so that the connection is printed."""
        return self.conn_id is None or not (self.is_new or self.held.writable)

    @property
    def destination(self) -> str:
        """What becomes of a token that works, as a sentence goes on."""
        if self.conn_id is None:
            return "the command prints the connection, and stores nothing."
        if self.is_printed:
            return f"the command prints what to put into {self.held.held_in}, where it can't write."
        return f"the command stores the token and the cloud's id in Airflow's database, as {self.conn_id}."

    def require_expected(self, grant: Grant) -> None:
        """Refuse a cloud other than the one that was meant.

        :raises ConnectError: another one was chosen.
        """
        if self.expected not in (None, str(grant.cloud_id)):
            change = f", or let {self.conn_id} change its cloud by --replace" if self.held.cloud_id else ""
            raise ConnectError(
                f"Cloud {grant.cloud_id} was chosen on Dotypos's page, not cloud {self.expected}. Nothing was stored: "
                f"run the command again and choose cloud {self.expected}{change}."
            )

    def try_out(self, grant: Grant) -> Verdict:
        """Sign in with what was granted.

        :raises ConnectError: it doesn't work.
        """
        from airflow_provider_dotypos._airflow import mask_secret

        mask_secret(grant.refresh_token)
        held = self.held
        verdict = try_out(grant, host=held.host, port=held.port, extra=held.extra, on_token=mask_secret)
        if not verdict.works:
            raise ConnectError(f"Dotypos gave a token, but it doesn't work, so nothing was stored. {verdict.message}")
        return verdict

    def store(self, grant: Grant, client_id: str | None, client_secret: str | None) -> None:
        """Write the grant, and what it was had by, into Airflow's database.

        :raises ConnectError: it can't be written; says why.
        """
        from airflow_provider_dotypos.connections import stored
        from airflow_provider_dotypos.connections.lookup import kind_of

        typed = {"login": client_id, "password": client_secret}
        changes: dict[str, Any] = {name: value for name, value in typed.items() if value}
        place: dict[str, Any] = {"host": self.held.host, "port": self.held.port} if self.other_host else {}
        try:
            if self.is_new:
                stored.create(str(self.conn_id), **changes, **place, extra=grant.extra)
            else:
                at = None if self.other_host else self.base_url  # where the token was tried
                stored.update(str(self.conn_id), **changes, **place, extra=grant.extra, at=at)
        except stored.WrongConnectionError as error:
            raise ConnectError(str(error)) from None
        except Exception as error:  # of whatever driver the database has
            raise ConnectError(f"Airflow's database doesn't take it ({kind_of(error)}).") from error

    def printed(self, grant: Grant, client_id: str | None, form: Format) -> str:
        """Return the connection, for a secrets backend or an environment variable; without the client secret."""
        value = replace(self.held, client_id=client_id or self.held.client_id).with_grant(grant.extra)
        return value if form == "json" else _uri(value)


def _find(conn_id: str) -> StoredConnection | None:
    from airflow_provider_dotypos.connections import stored
    from airflow_provider_dotypos.connections.lookup import look_up

    found = look_up(conn_id)
    if found is None:
        try:
            stored.check_new_id(conn_id)  # now, before anybody goes to Dotypos for it
        except stored.WrongConnectionError as error:
            raise ConnectError(str(error)) from None
    return found


def _blank(conn_id: str) -> StoredConnection:
    from airflow_provider_dotypos.connections.stored import StoredConnection

    return StoredConnection(conn_id, "nowhere yet", client_id=None, client_secret=None, host=None, port=None, extra={})


def _apart(host: str) -> tuple[str | None, int | None]:
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
    from airflow.sdk import Connection

    fields = json.loads(value)
    # A number among the extras makes Airflow write them as one JSON. Apart, each would be read as JSON again, and a
    # token that happens to look like a number would become one.
    extra = fields.pop("extra")
    extra["cloud_id"] = int(extra["cloud_id"])
    return str(Connection(conn_id="printed", **fields, extra=json.dumps(extra)).get_uri())
