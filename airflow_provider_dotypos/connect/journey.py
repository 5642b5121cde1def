"""A journey to Dotypos and back, which connects a cloud. The page and the command share it.

1. ``grant.Application`` signs a form, and a browser takes it to Dotypos's connector.
2. On Dotypos's page the person logs in, chooses a cloud and allows access.
3. The browser comes back with a refresh token and the cloud's number, which ``grant.read_return`` reads.
4. ``conclude`` tries the token by signing in, stores it, and returns how the journey ended.

The page and the command differ in where they wait for the browser, and in how they show a result. A result holds the
token in its ``Grant`` only. No ``repr`` shows it, and what is shown or logged of a result are its other fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_dotypos._airflow import mask_secret
from airflow_provider_dotypos.api.check import check, named
from airflow_provider_dotypos.connect.grant import Grant
from airflow_provider_dotypos.connections import audit, stored
from airflow_provider_dotypos.connections.errors import ConnectError, WrongConnectionError
from airflow_provider_dotypos.connections.lookup import describe
from airflow_provider_dotypos.connections.stored import StoredConnection


@dataclass(frozen=True)
class Target:
    """The connection that a journey connects.

    :param connection: the connection as it is, or as it will be created; its fields reach the API.
    :param user: whose journey the audit log notes. Defaults to nobody: the command's journeys aren't noted.
    :param is_new: creates the connection. Defaults to updating it.
    :param fields: stored with the token: ``login``, ``password``, ``host``, ``port``.
    :param base_url: the API base URL that the connection must have, now and when it is stored. Defaults to any.
    :param may_change_cloud: the connection may change to another cloud without a question.
    :raises WrongConnectionError: if the connection has another API base URL.
    """

    connection: StoredConnection
    user: str | None = None
    is_new: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    base_url: str | None = None
    may_change_cloud: bool = False

    def __post_init__(self) -> None:
        if self.base_url not in (None, self.connection.base_url):
            raise WrongConnectionError(stored.MOVED)


class _Result(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    conn_id: str


class Failed(_Result, frozen=True, kw_only=True, tag="failed"):
    """Nothing was stored; the message says why."""

    message: str


class _Working(_Result, frozen=True, kw_only=True):
    """The token works. ``cloud`` is the cloud's name and number, ``message`` the verdict on the token."""

    cloud: str
    message: str = ""


class Connected(_Working, frozen=True, kw_only=True, tag="connected"):
    """The token works and is stored."""


class OtherCloud(_Working, frozen=True, kw_only=True, tag="other cloud"):
    """The token works in another cloud than the connection's own. Nothing is stored before the person decides."""

    grant: Grant
    own_cloud: str
    base_url: str | None = None


class HeldElsewhere(_Working, frozen=True, kw_only=True, tag="held elsewhere"):
    """The token works, but only a person can store it where the connection is held."""

    grant: Grant
    held_in: str


class NotStored(_Working, frozen=True, kw_only=True, tag="not stored"):
    """The token works, but storing it failed. It is kept, because another one would need the person again.

    ``why`` is a sentence. ``refused`` says that Airflow's database refused it, so that a person can still store it.
    """

    grant: Grant
    why: str
    refused: bool = False


def conclude(grant: Grant, target: Target) -> Connected | OtherCloud | HeldElsewhere | NotStored | Failed:
    """Try a grant by signing in, store it if it works, and return how the journey ended."""
    mask_secret(grant.refresh_token)
    connection = target.connection
    verdict = check(lambda: connection.settings(grant.extra), mask_secret)
    if verdict.cloud is None:
        message = f"Dotypos gave a token, but it doesn't work, so nothing was stored. {verdict.message}"
        return Failed(conn_id=connection.conn_id, message=message)
    grant = replace(grant, cloud_name=verdict.cloud_name)
    facts: dict[str, Any] = {"conn_id": connection.conn_id, "cloud": named(verdict.cloud), "message": verdict.message}
    if not connection.writable:
        return HeldElsewhere(**facts, grant=grant, held_in=connection.held_in)
    if not target.may_change_cloud and connection.cloud_id not in (None, str(grant.cloud_id)):
        return OtherCloud(**facts, grant=grant, own_cloud=str(connection.cloud), base_url=target.base_url)
    try:
        store(grant, target)
    except ConnectError as error:
        return NotStored(**facts, grant=grant, why=str(error))
    except SQLAlchemyError as error:  # its own message would repeat what was to be stored
        why = f"Airflow's database refused it ({describe(error)})."
        return NotStored(**facts, grant=grant, why=why, refused=True)
    return Connected(**facts)


def store(grant: Grant, target: Target) -> None:
    """Store a grant that works, and note that in the audit log.

    :raises ConnectError: if the connection was deleted or moved meanwhile, or its new id is taken.
    """
    connection, user = target.connection, target.user
    if target.is_new:
        extra = {**connection.extra, **grant.extra}
        stored.create(connection.conn_id, extra=extra, user=user, **target.fields)
    else:
        stored.update(connection.conn_id, extra=grant.extra, base_url=target.base_url, user=user, **target.fields)
    if user is not None:
        audit.note_stored(connection.conn_id, grant.cloud_id, user)
