"""What becomes of a return from Dotypos: its state is checked, then the token tried, and only then it is stored.

An *outcome* is what the result page shows: ``connected``; ``failed``, with a message; ``held elsewhere``, with a value
to be stored by hand; or ``other cloud``, a question.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.check import named
from airflow_provider_dotypos.connect.grant import TIME_TO_DECIDE, ConnectError, Grant, read_return, try_out
from airflow_provider_dotypos.connect.page.seals import BrokenSealError, ExpiredSealError
from airflow_provider_dotypos.connect.page.visitor import RefusedError, Visitor
from airflow_provider_dotypos.connections import audit, stored
from airflow_provider_dotypos.connections.stored import StoredConnection, WrongConnectionError

log = logging.getLogger(__name__)

Outcome = dict[str, Any]

EXPIRED = "Dotypos's page has expired: it is open for about 15 minutes. Nothing was changed; connect again."
SIGNED_OUT = "Your Airflow session had ended when you came back from Dotypos. Nothing was changed; connect again."
STRANGER = (
    "This return from Dotypos doesn't belong to what you began here: another user, or another browser, has begun it. "
    "Nothing was changed; connect again."
)
REPEATED = "This return from Dotypos was used before. Nothing was changed."


def arrive(visit: Visitor, query: Mapping[str, str]) -> Outcome:
    """Return how a journey ends; its state is checked first, and is good only once."""
    if not query.get("token") and not query.get("state"):
        # A refusal; whether one brings the state back is not known [U].
        raise ConnectError("There is no token in this return from Dotypos: no access was given. Nothing was changed.")
    try:
        journey = visit.open("state", query.get("state"), life=TIME_TO_DECIDE)
    except ExpiredSealError:
        raise ConnectError(EXPIRED) from None
    except BrokenSealError:
        raise ConnectError(STRANGER) from None
    conn_id = str(journey["conn_id"])
    if not audit.end(journey["journey"], conn_id, visit.user_name):
        raise ConnectError(REPEATED)
    try:
        return _tried(visit, conn_id, read_return(query), journey["journey"], journey.get("at"))
    except (ConnectError, WrongConnectionError) as error:
        return {"kind": "failed", "message": str(error), "conn_id": conn_id}


def _tried(visit: Visitor, conn_id: str, grant: Grant, journey: str, at: str | None) -> Outcome:
    """Return what becomes of a grant: it is tried by signing in, and only then stored.

    :param at: the API base URL that the visitor was shown.
    """
    _airflow.mask_secret(grant.refresh_token)
    found = find(visit, conn_id)
    require_same_host(found, at)
    verdict = try_out(grant, host=found.host, port=found.port, extra=found.extra, on_token=_airflow.mask_secret)
    if verdict.cloud is None:
        raise ConnectError(f"Dotypos gave a token, but it doesn't work, so nothing was stored. {verdict.message}")
    cloud = named(verdict.cloud)
    held = {"conn_id": conn_id, "cloud": cloud, "grant": grant.extra, "journey": journey, "at": at}
    if not found.writable:
        return {"kind": "held elsewhere", "held_in": found.held_in, **held}
    if found.cloud_id not in (None, str(grant.cloud_id)):
        return {"kind": "other cloud", "old": found.cloud_id, **held}
    try:
        return store(visit, conn_id, grant, cloud, at)
    except SQLAlchemyError as error:
        # The token is good, and asking for another one needs the person again.
        log.error("Airflow's database refused the connection %s: %s", conn_id, type(error).__name__)
        return {"kind": "held elsewhere", "held_in": f"{found.held_in}, which refused it", **held}


def store(visit: Visitor, conn_id: str, grant: Grant, cloud: str, at: str | None) -> Outcome:
    """Put a grant into a connection of the database, and return that as an outcome.

    :param at: the API base URL at which the grant was tried.
    :raises WrongConnectionError: the connection has been deleted meanwhile, or leads to another host.
    """
    stored.update(conn_id, extra=grant.extra, at=at, user=visit.user_name)
    audit.stored(conn_id, grant.cloud_id, visit.user_name)
    return {"kind": "connected", "conn_id": conn_id, "cloud": cloud}


def require_same_host(found: StoredConnection, at: str | None) -> None:
    """Refuse to let a token near a host other than the one that the visitor was shown.

    :raises WrongConnectionError: the connection's API base URL has changed since.
    """
    if found.base_url != at:
        raise WrongConnectionError(stored.MOVED)


def granted(outcome: Outcome) -> Grant:
    """Return the grant that an outcome holds."""
    return Grant(outcome["grant"]["refresh_token"], int(outcome["grant"]["cloud_id"]))


def find(visit: Visitor, conn_id: str) -> StoredConnection:
    """Return a connection that the visitor may edit."""
    try:
        stored.check_id(conn_id)
        visit.require_edit(conn_id)
        found = stored.find(conn_id)
    except WrongConnectionError as error:
        raise RefusedError(400, str(error)) from None
    if found is None:
        raise RefusedError(
            404,
            f"There is no connection {conn_id} in this Airflow. Make it by New connection; for a secrets backend, "
            "python -m airflow_provider_dotypos connect prints the value to store.",
        )
    return found
